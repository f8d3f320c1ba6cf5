"""What a system leaves in folders and archives is no example and no class."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data import CATALOG, DataError, open_prepared, prepare, records
from hdlif_jax.data.formats import archives
from hdlif_jax.data.formats.hidden import is_hidden
from tests.data import originals

HIDDEN = (
    ".DS_Store",
    "._00001.bin",
    ".ipynb_checkpoints/00001.bin",
    "__MACOSX/Train/3/._00001.bin",
    "a/Thumbs.db",
    "a/THUMBS.DB",
    "a/desktop.ini",
    "a/@eaDir/x.bin",
    "$RECYCLE.BIN/x.bin",
    ".git/objects/x.bin",
)


@pytest.mark.parametrize("name", HIDDEN)
def test_system_files_are_hidden(name):
    assert is_hidden(name)
    assert is_hidden(name.replace("/", "\\"))


@pytest.mark.parametrize("name", ["a/b.bin", "./train/a.JPEG", "a.b/c", "n01440764", "thumbs.db.bin", "macosx/a"])
def test_ordinary_files_are_not(name):
    assert not is_hidden(name)


@pytest.mark.parametrize("kind", ["folder", "tar", "zip", "tar in tar"])
def test_no_walk_meets_them(kind, tmp_path):
    members = {"a/b.bin": b"x"} | dict.fromkeys(HIDDEN, b"junk")
    path = tmp_path / {"folder": "in", "tar": "in.tar", "zip": "in.zip", "tar in tar": "in.tar"}[kind]
    if kind == "folder":
        for name, content in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        path.write_bytes(originals.zipped(members))
    elif kind == "tar":
        path.write_bytes(originals.tar(members))
    else:
        path.write_bytes(originals.tar({"a.tar": originals.tar({"b.bin": b"x", "._b.bin": b""}), "._a.tar": b"junk"}))
    assert [member.name for member in archives.walk(path)] == ["a/b.bin"]


def test_a_folder_in_a_hidden_place_is_walked(tmp_path):
    path = originals.folder(tmp_path / ".cache" / "in") / "b.bin"
    path.write_bytes(b"x")
    assert [member.name for member in archives.walk(path.parent)] == ["b.bin"]


def test_hidden_files_alone_are_no_originals(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"junk")
    with pytest.raises(DataError, match="holds no files"):
        CATALOG["mnist"].open_originals(tmp_path, lambda *file: None)


def test_they_are_no_classes_and_no_recordings(tmp_path, generator):
    for part in ("train", "val"):
        for name in ("n01", "n02"):
            path = originals.folder(tmp_path / "photos" / part / name)
            (path / "a.JPEG").write_bytes(originals.jpeg(generator, (40, 40)))
            (path / "._a.JPEG").write_bytes(b"junk")
        originals.folder(tmp_path / "photos" / part / ".ipynb_checkpoints")
        originals.folder(tmp_path / "photos" / part / "__MACOSX")
    prepare("imagenet", tmp_path / "photos", tmp_path, partial=True)
    dataset = open_prepared("imagenet", tmp_path, num_steps=1, image_size=32)
    assert dataset.class_names == ("n01", "n02")
    assert dataset.train.labels.tolist() == dataset.test.labels.tolist() == [0, 1]
    names = tmp_path / "imagenet2012" / "5.1.0" / "label.labels.txt"
    names.write_text(names.read_text().replace("n01", ".ipynb_checkpoints"))  # as earlier versions did
    records._builder.cache_clear()
    with pytest.raises(DataError, match=r"has the folder '\.ipynb_checkpoints', .* as class 0: .* prepare the dataset"):
        open_prepared("imagenet", tmp_path, num_steps=1)
    for part in ("Train", "Test"):
        path = originals.folder(tmp_path / "nmnist-files" / part / "0")
        (path / "00001.bin").write_bytes(originals.nmnist(*originals.random_events(generator, 20, (34, 34))))
        (path / "._00001.bin").write_bytes(b"junk")
    prepare("nmnist", tmp_path / "nmnist-files", tmp_path, partial=True)
    assert open_prepared("nmnist", tmp_path, num_steps=2).train.shape == (1, 2, 34, 34, 2)


def test_the_number_of_classes_is_the_catalogues(tmp_path, generator):
    for part in ("train", "val"):
        path = originals.folder(tmp_path / "in" / part / "n01")
        (path / "a.JPEG").write_bytes(originals.jpeg(generator, (40, 40)))
    with pytest.raises(DataError, match=r"has 1 classes, imagenet has 1000; .* or pass --partial"):
        prepare("imagenet", tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_version_folder_of_a_system_is_no_dataset(tmp_path, generator):
    originals.write_mnist(originals.folder(tmp_path / "in"), generator)
    path = prepare("mnist", tmp_path / "in", tmp_path, partial=True)
    path.rename(path.parent / "3.0.0")
    hidden = originals.folder(path.parent / "._3.9.9")
    (hidden / "dataset_info.json").write_bytes(b"junk")
    assert open_prepared("mnist", tmp_path, num_steps=1).train.shape[0] == 12


def test_pictures_of_every_usual_format_are_read(tmp_path):
    """A folder of PNG files is no empty folder."""
    expected = {}
    for index, suffix in enumerate((".png", ".bmp", ".webp", ".gif", ".tiff", ".JPG")):
        level = 40 * index
        buffer = io.BytesIO()
        image = Image.new("RGB", (30, 30), (level, level, level))
        image.save(
            buffer,
            {".JPG": "JPEG"}.get(suffix, suffix[1:].upper()),
            **({"lossless": True} if suffix == ".webp" else {}),
        )
        for part in ("train", "val"):
            folder = originals.folder(tmp_path / "in" / part / f"n{index}")
            pathlib.Path(folder / f"a{suffix}").write_bytes(buffer.getvalue())
        expected[index] = level
    prepare("imagenet", tmp_path / "in", tmp_path, partial=True)
    inputs, labels = open_prepared("imagenet", tmp_path, num_steps=1, image_size=16).train.load()
    assert {int(label): int(np.median(image)) for image, label in zip(inputs, labels, strict=True)} == expected
