"""Own picture files."""

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data import DataError, Dataset, pictures_in
from tests.data import originals

RNG = np.random.default_rng(0)


def write(folder, name, shape=(4, 6, 3)):
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    path = folder / name
    originals.folder(path.parent)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def folder(tmp_path):
    return originals.folder(tmp_path / "own")


def test_folders_are_classes(folder):
    expected = [write(folder, name) for name in ("cat/1.png", "cat/more/2.bmp", "dog/1.png")]
    for name in (".DS_Store", "._dog", "cat/Thumbs.db", ".ipynb_checkpoints/dog.png", "readme.txt"):
        originals.folder((folder / name).parent)
        (folder / name).write_bytes(b"junk")
    found = pictures_in(folder)
    np.testing.assert_array_equal(found.images, expected)
    assert (found.labels.tolist(), found.class_names) == ([0, 0, 1], ("cat", "dog"))
    assert [file.name for file in found.files] == ["1.png", "2.bmp", "1.png"]
    dataset = Dataset.from_arrays(
        found.images, found.labels, test_images=found.images, test_labels=found.labels, class_names=found.class_names
    )
    assert dataset.input_shape == (4, 6, 3)


def test_pictures_are_scaled_where_that_is_asked_for(folder):
    pixels = write(folder, "cat/1.png")
    write(folder, "cat/2.png", (8, 5, 3))
    found = pictures_in(folder, size=(3, 2))
    assert found.images.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(found.images[0], np.asarray(Image.fromarray(pixels).resize((2, 3))))
    assert pictures_in(folder, size=(3, 2), channels=1).images.shape == (2, 3, 2, 1)


def test_given_classes_keep_their_order(folder):
    for name in ("cat/1.png", "dog/1.png"):
        write(folder, name)
    found = pictures_in(folder, class_names=("dog", "cat"))
    assert [file.parent.name for file in found.files] == ["dog", "cat"]
    assert found.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda folder: folder.rmdir(), {}, "own is no folder"),
        (lambda folder: None, {}, "own: it has no folders; expected a folder of pictures for each class"),
        (lambda folder: originals.folder(folder / "cow"), {}, "class 'cow' has no pictures"),
        (lambda folder: write(folder, "cow/1.png"), {"class_names": ("cat",)}, "'cow' is none of the classes cat"),
        (lambda folder: write(folder, "cow/1.png"), {"class_names": ("cat", "cow")}, "class 'cat' has no pictures"),
        (lambda folder: originals.folder(folder / "a").joinpath("1.heic").write_bytes(b""), {}, "1.heic is no picture"),
        (
            lambda folder: originals.folder(folder / "a").joinpath("1.png").write_bytes(b""),
            {},
            "1.png, byte 0: does not",
        ),
        (lambda folder: (write(folder, "a/1.png"), write(folder, "a/2.png", (5, 5, 3))), {}, "5×5 pixels, .* has 6×4"),
    ],
)
def test_what_cannot_be_read_is_named(make, options, message, folder):
    make(folder)
    with pytest.raises(DataError, match=message) as caught:
        pictures_in(folder, **options)
    assert "\n" not in str(caught.value)
