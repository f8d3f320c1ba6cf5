"""Arrays in a file as datasets."""

import io
import zipfile

import numpy as np
import pytest

from hdlif_jax.data import DataError, Dataset, DatasetInfo, open_npz
from hdlif_jax.data.arrays import statistics
from tests.data.own.make import frames


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_inputs_and_labels_are_those_of_arrays(tmp_path, dtype):
    generator = np.random.default_rng(0)
    inputs, labels = generator.integers(0, 256, (30, 6, 9)).astype(dtype), np.arange(30) % 3
    dataset = open_npz(save(tmp_path / "own.npz", inputs=inputs, labels=labels), num_steps=2)
    expected = Dataset.from_arrays(inputs, labels)
    for part in ("train", "test"):
        own, other = getattr(dataset, part), getattr(expected, part)
        np.testing.assert_array_equal(own.inputs, other.inputs)
        assert own.inputs.dtype == (np.float32 if dtype == np.float64 else np.uint8)
        np.testing.assert_array_equal(own.labels, other.labels)
    assert (dataset.mean, dataset.std) == statistics(dataset.train.inputs)
    assert (dataset.name, dataset.class_names, dataset.input_shape) == ("own.npz", ("0", "1", "2"), (6, 9, 1))


@pytest.mark.parametrize("save_", [np.savez, np.savez_compressed])
def test_arrays_as_keras_names_them_with_class_names(tmp_path, save_):
    inputs, labels = frames()
    path = tmp_path / "own.npz"
    parts = {"x_train": inputs[:20], "y_train": labels[:20, None], "x_test": inputs[20:], "y_test": labels[20:]}
    save_(path, **parts, class_names=np.array(["a", "b", "ü"]))
    dataset = open_npz(path, num_steps=3)
    np.testing.assert_array_equal(dataset.test.inputs, inputs[20:])
    np.testing.assert_array_equal(dataset.train.labels, labels[:20])
    assert dataset.class_names == ("a", "b", "ü")
    assert DatasetInfo.of(dataset).spec == ((12, 10, 2), 3, True)


def test_many_channels_are_channels_where_they_are_fewer_than_pixels(tmp_path):
    path = save(tmp_path / "own.npz", inputs=np.zeros((10, 16, 12, 7), np.float32), labels=np.arange(10) % 2)
    assert open_npz(path, num_steps=1).input_shape == (16, 12, 7)


def test_a_run_keeps_its_statistics(tmp_path):
    inputs, labels = frames()
    kept = DatasetInfo.of(open_npz(save(tmp_path / "own.npz", inputs=inputs, labels=labels), num_steps=3))
    other = open_npz(save(tmp_path / "other.npz", inputs=inputs // 2, labels=labels), num_steps=3, info=kept)
    assert (other.mean, other.std) == (kept.mean, kept.std)
    assert DatasetInfo.from_dict(kept.to_dict()) == kept
    path = save(tmp_path / "more.npz", inputs=inputs, labels=np.arange(30) % 4)
    with pytest.raises(DataError, match="the classes 4: 0, 1, 2, 3 and the run was trained on 3: 0, 1, 2"):
        open_npz(path, num_steps=3, info=kept)
    path = save(tmp_path / "floats.npz", inputs=inputs / 2, labels=labels)
    with pytest.raises(DataError, match=r"3 frames of 12×10×2 float32 and the run .* 3 frames of 12×10×2 uint8"):
        open_npz(path, num_steps=3, info=kept)


def test_a_false_size_allocates_nothing(tmp_path):
    """A header that says more than there is, as a damaged or forged file has it."""
    path, buffer = tmp_path / "own.npz", io.BytesIO()
    np.save(buffer, np.zeros((4, 6, 6), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", buffer.getvalue().replace(b"(4, 6, 6), }", b"(4,6,6000)} "))
        archive.writestr("labels.npy", b"")
    with pytest.raises(DataError, match=r"array inputs, byte 1..: has 144 bytes of numbers and says 144000"):
        open_npz(path, num_steps=1)


@pytest.mark.parametrize("options", [{"num_steps": 0}, {"num_steps": 1, "info": 3}])
def test_arguments_are_checked(options, tmp_path):
    with pytest.raises((TypeError, ValueError), match=list(options)[-1]):
        open_npz(tmp_path, **options)
