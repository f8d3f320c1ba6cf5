"""Data sets with a few unusable files: refused by default, left out and listed where that is asked for."""

import dataclasses
import sys

import numpy as np
import pytest

from hdlif_jax.data import DataError, catalog, open_dataset, open_prepared, prepare, problems
from hdlif_jax.data.frames import frames_of
from tests.data import originals

GOOD = ([1, 5, 5, 9], [0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 1, 1])
LATE = ([1, 9, 5, 5], [0, 3, 1, 2], [0, 0, 0, 0], [1, 1, 1, 1])  # two of four come 4 µs late
VERY_LATE = ([5000, 1], [0, 0], [0, 0], [1, 1])
OUTSIDE = ([1], [40], [0], [1])


def write_nmnist(folder, recordings):
    for name, content in recordings.items():
        for part in ("Train", "Test"):
            path = originals.folder(folder / part / "3") / f"{name}.bin"
            path.write_bytes(content if isinstance(content, bytes) else originals.nmnist(*content))
    return folder


@pytest.mark.parametrize("name", ["late", "very-late", "outside", "empty"])
def test_one_damaged_file_stops_and_names_the_way(tmp_path, name):
    content = {"late": LATE, "very-late": VERY_LATE, "outside": OUTSIDE, "empty": b""}[name]
    write_nmnist(tmp_path / "in", {"a": GOOD, name: content})
    with pytest.raises(DataError, match=rf"{name}\.bin.*; --skip-damaged goes on without it"):
        prepare("nmnist", tmp_path / "in", tmp_path / "out", partial=True)


def test_damaged_files_are_left_out_and_listed(tmp_path):
    names = {"a": GOOD, "b-late": LATE, "c-very-late": VERY_LATE, "d-outside": OUTSIDE, "e-empty": b"", "f": GOOD}
    # An overflow of the clock alone: a file with bytes and without events.
    names["g-overflow"] = ([0], [0], [240], [0])
    write_nmnist(tmp_path / "in", names)
    path = prepare("nmnist", tmp_path / "in", tmp_path, partial=True, skip_damaged=True)
    listed = problems(path)
    for part in ("train", "test"):
        own = [line for line in listed if part in line.split(":")[0]]
        assert [line.split(":")[0] for line in own] == [f"put in order, in {part}"] + [f"left out of {part}"] * 4
        for line, name in zip(own, ("b-late", "c-very-late", "d-outside", "e-empty", "g-overflow"), strict=True):
            assert f"{name}.bin" in line
        assert "2 of 4 events were late by at most 1000 µs" in own[0]
        assert "only up to 1000 µs are put right" in own[1]
        assert "holds no event" in own[4]
    dataset = open_prepared("nmnist", tmp_path, num_steps=2)
    inputs = dataset.train.load().inputs
    assert len(inputs) == 3
    times, x, y, polarity = GOOD
    expected = frames_of(x, y, times, polarity, sensor=(34, 34), num_frames=2)
    for frames in inputs:
        np.testing.assert_array_equal(frames, expected)  # also of the late one: sorted, in a stable order


def test_nothing_is_listed_where_nothing_was_damaged(tmp_path):
    write_nmnist(tmp_path / "in", {"a": GOOD})
    path = prepare("nmnist", tmp_path / "in", tmp_path, partial=True, skip_damaged=True)
    assert problems(path) == []


def test_nothing_but_damaged_files_is_no_dataset(tmp_path):
    write_nmnist(tmp_path / "in", {"a": OUTSIDE})
    with pytest.raises(DataError, match="has 0 examples and 1 damaged ones, expected at least one"):
        prepare("nmnist", tmp_path / "in", tmp_path / "out", partial=True, skip_damaged=True)


def test_damaged_files_count_in_the_official_number(tmp_path, monkeypatch):
    monkeypatch.setitem(
        catalog.CATALOG, "nmnist", dataclasses.replace(catalog.CATALOG["nmnist"], counts={"train": 2, "test": 2})
    )
    write_nmnist(tmp_path / "in", {"a": GOOD, "b": OUTSIDE})
    prepare("nmnist", tmp_path / "in", tmp_path / "out", skip_damaged=True)
    write_nmnist(tmp_path / "in", {"c": GOOD})
    with pytest.raises(DataError, match="has 2 examples and 1 damaged ones, expected 2"):
        prepare("nmnist", tmp_path / "in", tmp_path / "out2", skip_damaged=True)


def test_broken_pictures_are_left_out_and_a_file_of_no_class_is_not(tmp_path, generator):
    for part in ("train", "val"):
        folder = originals.folder(tmp_path / "in" / part / "n01")
        (folder / "a.JPEG").write_bytes(originals.jpeg(generator, (40, 40)))
        (folder / "b.JPEG").write_bytes(originals.jpeg(generator, (40, 40))[:300])
    path = prepare("imagenet", tmp_path / "in", tmp_path, partial=True, skip_damaged=True)
    assert len(problems(path)) == 2
    assert all("b.JPEG, byte 0: does not decode as an image" in line for line in problems(path))
    (tmp_path / "in" / "val" / "stray.JPEG").write_bytes(originals.jpeg(generator, (40, 40)))
    with pytest.raises(DataError, match=r"stray\.JPEG, byte 0: lies in no folder of a class"):
        prepare("imagenet", tmp_path / "in", tmp_path / "out", partial=True, skip_damaged=True)


def test_a_missing_package_is_no_damage(tmp_path, generator, monkeypatch):
    folder = originals.folder(tmp_path / "in" / "train" / "n01")
    (folder / "a.JPEG").write_bytes(originals.jpeg(generator, (40, 40)))
    originals.folder(tmp_path / "in" / "val")
    monkeypatch.setitem(sys.modules, "PIL.ImageOps", None)
    with pytest.raises(DataError, match="this needs the package PIL"):
        prepare("imagenet", tmp_path / "in", tmp_path / "out", partial=True, skip_damaged=True)


@pytest.mark.parametrize("name", ["digits", "nmnist"])
def test_no_time_steps_are_refused_when_a_dataset_is_opened(tmp_path, name):
    with pytest.raises(ValueError, match="num_steps=0 must be at least 1"):
        open_dataset(name, tmp_path, num_steps=0)


def test_records_check_the_events_that_they_read(tmp_path):
    """A dataset that was prepared elsewhere may hold anything."""
    write_nmnist(tmp_path / "in", {"a": GOOD})
    prepare("nmnist", tmp_path / "in", tmp_path, partial=True)
    decode = open_prepared("nmnist", tmp_path, num_steps=2).train.decode
    good = {name: np.array(column) for name, column in zip("txyp", GOOD, strict=True)}
    assert decode(good, None, "record 7").sum() == 4
    for changes, message in (
        ({"x": good["x"] + 31}, "record 7, event 3: event at x=34, y=0 is outside the 34×34 sensor"),
        ({"t": good["t"][::-1]}, "record 7, event 1: event at 5 µs follows one at 9 µs"),
        ({"p": good["p"] * 3}, "record 7: polarity has the values 3"),
        ({name: column[:0] for name, column in good.items()}, "record 7 holds no event"),
    ):
        with pytest.raises(DataError, match=message):
            decode(good | changes, None, "record 7")
