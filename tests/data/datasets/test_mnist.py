import numpy as np
import pytest

from hdlif_jax.data import DataError, open_prepared, prepare
from tests.data import originals


@pytest.mark.parametrize("zipped_files", [False, True])
def test_mnist_from_idx(tmp_path, generator, zipped_files):
    parts = originals.write_mnist(originals.folder(tmp_path / "in"), generator, zipped=zipped_files)
    prepare("fashion-mnist", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("fashion-mnist", tmp_path, num_steps=4)
    assert dataset.class_names[9] == "Ankle boot"
    for source, (images, labels) in zip((dataset.train, dataset.test), parts.values(), strict=True):
        np.testing.assert_array_equal(source.load().inputs, images)
        np.testing.assert_array_equal(source.labels, labels)


def test_images_and_labels_must_belong_together(tmp_path, generator):
    originals.write_mnist(tmp_path, generator, sizes=(12, 5), zipped=False)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    good = labels.read_bytes()
    for content, message in {
        originals.idx(np.zeros(11)): "labels-idx1-ubyte, byte 4: 11 labels for 12 images",
        good[:-1] + b"\x0a": "labels-idx1-ubyte, byte 19: label 10 is outside 0…9",
    }.items():
        labels.write_bytes(content)
        with pytest.raises(DataError, match=message):
            prepare("mnist", tmp_path, tmp_path / "out", partial=True)
    labels.write_bytes(good)
    images.write_bytes(originals.idx(np.zeros((12, 8, 8))))
    with pytest.raises(DataError, match=r"images-idx3-ubyte, byte 8: images of \(8, 8\) pixels; expected \(28, 28\)"):
        prepare("mnist", tmp_path, tmp_path / "out", partial=True)
