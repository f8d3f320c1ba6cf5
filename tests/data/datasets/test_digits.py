import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hdlif_jax.data import DataError, digits


def test_every_image_is_in_one_split():
    dataset, bunch = digits(), load_digits()
    inputs = np.concatenate([dataset.train.inputs, dataset.test.inputs])
    assert len(inputs) == 1797
    pixels = np.round(inputs[..., 0] * (16 / 255))
    order, expected_order = (np.lexsort(images.reshape(1797, -1).T) for images in (pixels, bunch.images))
    np.testing.assert_array_equal(pixels[order], bunch.images[expected_order])
    np.testing.assert_allclose(len(dataset.test.labels) / 1797, 0.2, atol=0.002)


def test_mean_and_std_are_those_of_the_training_images():
    dataset = digits()
    np.testing.assert_allclose(dataset.mean, (dataset.train.inputs / 255).mean())
    np.testing.assert_allclose(dataset.std, (dataset.train.inputs / 255).std())


@pytest.mark.parametrize("missing", ["sklearn", "sklearn.datasets"])
def test_a_missing_package_is_named_with_the_fix(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    with pytest.raises(
        DataError, match=r"digits come with scikit-learn, which is not there.*pip install 'hdlif_jax\[data\]'$"
    ) as caught:
        digits()
    assert "\n" not in str(caught.value)


def test_reading_them_imports_nothing_of_scikit_learn_and_would_do_so_where_the_file_is_not(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sklearn.datasets", None)
        quick = digits()
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    slow = digits()
    for one, other in ((quick.train, slow.train), (quick.test, slow.test)):
        assert (one.inputs.dtype, one.labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert (quick.mean, quick.std) == (slow.mean, slow.std)
