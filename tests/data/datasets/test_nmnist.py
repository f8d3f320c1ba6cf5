import os
import pathlib
import tarfile

import numpy as np
import pytest

from hdlif_jax.data import open_prepared, prepare
from hdlif_jax.data.events import Events
from hdlif_jax.data.formats.nmnist import parse_nmnist
from hdlif_jax.data.frames import integrate
from hdlif_jax.data.recordings import recording_of
from tests.data import originals

DATA_DIR = os.environ.get("HDLIF_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA_DIR, reason="HDLIF_DATA_DIR does not name a folder with real data")


def test_nmnist_frames_equal_the_events(tmp_path, generator):
    expected = []
    for split, number in (("Train", 4), ("Test", 2)):
        for index in range(number):
            times, x, y, polarity = originals.random_events(generator, 50, (34, 34))
            path = originals.folder(tmp_path / "in" / split / str(index % 10)) / f"{index:05d}.bin"
            path.write_bytes(originals.nmnist(times, x, y, polarity))
            events = Events(np.array(times), np.array(x), np.array(y), np.array(polarity, bool))
            expected.append(integrate(recording_of(events, (34, 34)), 5, slicing="equal-time"))
    prepare("nmnist", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("nmnist", tmp_path, num_steps=5, slicing="equal-time")
    inputs, labels = dataset.train.load()
    np.testing.assert_array_equal(inputs, np.stack(expected[:4]))
    assert labels.tolist() == [0, 1, 2, 3]
    assert dataset.train.shape == (4, 5, 34, 34, 2)


@needs_data
def test_real_nmnist_is_read_prepared_and_integrated(tmp_path):
    with tarfile.open(pathlib.Path(DATA_DIR) / "nmnist" / "nmnist-subset.tar.xz") as archive:
        members = [member for member in archive if member.name.startswith("Test/")]
        archive.extractall(tmp_path / "in", members, filter="data")
    (tmp_path / "in" / "Train").symlink_to(tmp_path / "in" / "Test")
    with pytest.raises(ValueError, match="has 0 examples, expected at least one"):  # a link is not followed by rglob
        prepare("nmnist", tmp_path / "in", tmp_path, partial=True)
    (tmp_path / "in" / "Train").unlink()
    (tmp_path / "in" / "Test" / "9").rename(tmp_path / "nine")
    (tmp_path / "in" / "Train").mkdir()
    (tmp_path / "nine").rename(tmp_path / "in" / "Train" / "9")
    prepare("nmnist", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("nmnist", tmp_path, num_steps=10)
    files = sorted((tmp_path / "in" / "Train" / "9").glob("*.bin"))
    inputs, labels = dataset.train.load()
    assert len(files) == len(inputs) == 11
    assert set(labels) == {9}
    for file, frames in zip(files, inputs, strict=True):
        recording = parse_nmnist(file.read_bytes(), file.name)
        assert 1000 < recording.num_events < 20000
        assert 200_000 < recording.last_time - recording.first_time < 400_000  # three saccades of 100 ms
        np.testing.assert_array_equal(frames, integrate(recording, 10))
        assert frames.sum() == recording.num_events
