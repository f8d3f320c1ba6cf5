import pickle

import numpy as np
import pytest

from hdlif_jax.data import DataError, hold_out, nbytes, open_prepared, prepare
from tests.data import originals


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("mnist")
    originals.write_mnist(path, np.random.default_rng(0), sizes=(60, 5))
    prepare("mnist", path, path, partial=True)
    return path


@pytest.fixture
def records(directory):
    return open_prepared("mnist", directory, num_steps=4).train


def test_reading_some_equals_loading_all(records):
    inputs, labels = records.load()
    indices = np.array([7, 3, 3, 59])
    some = records.read(indices)
    np.testing.assert_array_equal(some.inputs, inputs[indices])
    np.testing.assert_array_equal(some.labels, labels[indices])
    np.testing.assert_array_equal(records.labels, labels)
    assert records.shape == inputs.shape
    assert nbytes(records) == inputs.nbytes


def test_the_same_examples_are_held_out_on_disk_as_in_memory(records):
    on_disk, in_memory = hold_out(records, 0.2), hold_out(records.load(), 0.2)
    for left, right in zip(on_disk, in_memory, strict=True):
        np.testing.assert_array_equal(left.load().inputs, right.inputs)
        np.testing.assert_array_equal(left.labels, right.labels)
    assert hold_out(records, 0)[1].load().inputs.shape == (0, 28, 28, 1)


def test_labels_are_kept_beside_the_records(directory, records):
    labels = records.labels
    assert (directory / "mnist" / "3.0.1" / "train.labels.npy").exists()
    np.testing.assert_array_equal(open_prepared("mnist", directory, num_steps=4).train.labels, labels)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_a_damaged_file_of_labels_is_read_anew(directory, content):
    path = directory / "mnist" / "3.0.1" / "test.labels.npy"
    expected = open_prepared("mnist", directory, num_steps=4).test.load().labels
    if content is None:
        np.save(path, expected[:2])  # of another dataset
    else:
        path.write_bytes(content)
    np.testing.assert_array_equal(open_prepared("mnist", directory, num_steps=4).test.labels, expected)
    np.testing.assert_array_equal(np.load(path), expected)
    assert {file.name for file in path.parent.glob("*.npy*")} <= {"train.labels.npy", "test.labels.npy"}


def test_labels_out_of_range_are_refused_before_training(directory):
    path = directory / "mnist" / "3.0.1" / "test.labels.npy"
    whole = open_prepared("mnist", directory, num_steps=4).test.load().labels
    np.save(path, np.where(np.arange(len(whole)) == 3, 10, whole).astype(np.int32))
    with pytest.raises(DataError, match="test record 3: label 10 is outside 0…9"):
        assert open_prepared("mnist", directory, num_steps=4).test.labels.size
    path.unlink()


def test_records_can_be_sent_to_another_process(records):
    before = records.read(np.array([1]))
    copy = pickle.loads(pickle.dumps(records))
    np.testing.assert_array_equal(copy.read(np.array([1])).inputs, before.inputs)


def test_an_older_version_is_found(directory, tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "3.0.0").symlink_to(directory / "mnist" / "3.0.1")
    assert open_prepared("mnist", tmp_path, num_steps=4).train.shape == (60, 28, 28, 1)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(DataError, match="is not a dataset prepared by tensorflow-datasets"):
        open_prepared("mnist", tmp_path, num_steps=4)


def test_records_show_themselves_without_being_read(records, directory):
    shown = f"Records(60 examples of 28×28×1 uint8, 10 classes, train split of {directory}/mnist/3.0.1)"
    assert repr(records) == shown
    assert "<td>28×28×1</td>" in records._repr_html_()
    assert "_source" not in records.__dict__
    dataset = open_prepared("mnist", directory, num_steps=1)
    assert "Records" in dataset._repr_html_()
    assert "_source" not in dataset.train.__dict__
