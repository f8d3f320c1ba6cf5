import os
import pathlib
import sys
import tarfile

import numpy as np
import pytest

from experiments import prepare_data
from hdlif_jax.data import catalog, open_prepared, prepare
from hdlif_jax.data.events import integrate
from hdlif_jax.data.formats.nmnist import parse_nmnist
from hdlif_jax.data.originals import open_originals
from tests.data import originals

DATA_DIR = os.environ.get("HDLIF_DATA_DIR")
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
needs_data = pytest.mark.skipif(not DATA_DIR, reason="HDLIF_DATA_DIR does not name a folder with real data")


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["prepare_data", *map(str, arguments)])
    prepare_data.main()


def test_the_command_prepares_and_can_be_repeated(tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    parts = originals.write_cifar100_binary(tmp_path / "in", generator)
    for _ in range(2):
        command(monkeypatch, "cifar100", "--from", tmp_path / "in", "--to", tmp_path / "out", "--partial")
        assert "3.0.2 is ready" in capsys.readouterr().out
    dataset = open_prepared("cifar100", tmp_path / "out", num_steps=4)
    np.testing.assert_array_equal(dataset.train.load().inputs, parts["train"][0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar"], "unknown dataset 'cifar'; the datasets are mnist, fashion-mnist, cifar10, cifar100"),
        (["cifar100"], "cifar100 is made from cifar-100-binary.tar.gz"),
        (["cifar100", "--download", "--from", "x"], "with --from, or fetch with --download"),
        (["cifar100", "--from", "nowhere"], "nowhere does not exist; give the folder or archive"),
        (["imagenet", "--download"], "imagenet cannot be fetched without an account; get ILSVRC2012_img_train.tar"),
        (["cifar100", "--fro", "x"], "--fro"),
        ([], "NAME"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_a_broken_file_ends_in_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    originals.write_cifar100_binary(tmp_path, np.random.default_rng(0))
    (tmp_path / "test.bin").write_bytes((tmp_path / "test.bin").read_bytes()[:-1])
    with pytest.raises(SystemExit):
        command(monkeypatch, "cifar100", "--from", tmp_path, "--to", tmp_path / "out", "--partial")
    assert "test.bin, byte 6148: 3073 bytes of a 3074-byte record" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


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


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist_has_its_checksums_and_counts():
    seen = []

    def check(name, content, where):
        import hashlib

        seen.append(hashlib.md5(content).hexdigest() == catalog.CATALOG["fashion-mnist"].known[name])

    entry = catalog.CATALOG["fashion-mnist"]
    examples = open_originals(entry, FASHION_MNIST, check)
    assert seen == [True] * 4
    labels = [example["label"] for example in examples.splits["test"]()]
    assert np.bincount(labels).tolist() == [1000] * 10


@needs_data
@pytest.mark.slow
def test_real_cifar100_is_prepared_byte_for_byte(tmp_path):
    from PIL import Image

    folder = pathlib.Path(DATA_DIR) / "cifar100"
    files = {file.name: file for part in ("a", "b") for file in (folder / part).iterdir()}
    records = {}
    for split, sheets in {"train": 100, "test": 20}.items():
        labels = np.fromfile(files[f"{split}_labels.u8"], np.uint8).reshape(-1, 2)
        pixels = np.concatenate(
            [np.asarray(Image.open(files[f"{split}_{number:03d}.webp"]).convert("RGB")) for number in range(sheets)]
        )
        planes = pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2).reshape(len(labels), -1)
        records[split] = np.concatenate([labels, planes], 1)
        (tmp_path / f"{split}.bin").write_bytes(records[split].tobytes())
    for name in ("fine_label_names.txt", "coarse_label_names.txt"):
        (tmp_path / name).write_bytes(files[name].read_bytes())
    prepare("cifar100", tmp_path, tmp_path)  # with the official checksums and counts
    dataset = open_prepared("cifar100", tmp_path, num_steps=4)
    for source, expected in zip((dataset.train, dataset.test), records.values(), strict=True):
        inputs, fine = source.load()
        np.testing.assert_array_equal(inputs.transpose(0, 3, 1, 2).reshape(len(fine), -1), expected[:, 2:])
        np.testing.assert_array_equal(fine, expected[:, 1])
        scaled = inputs / 255
        if len(fine) == 50000:
            np.testing.assert_allclose(scaled.mean((0, 1, 2)), dataset.mean, atol=1e-4)
            np.testing.assert_allclose(scaled.std((0, 1, 2)), dataset.std, atol=1e-4)
