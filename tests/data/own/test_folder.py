"""Folders of pictures as datasets."""

import pickle

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data import DataError, DatasetInfo, open_folder, pictures_in
from hdlif_jax.data.arrays import statistics
from tests.data.own.make import CLASSES, write_folder


def test_a_fifth_of_each_class_is_the_test_set_and_the_statistics_are_of_the_rest(tmp_path):
    pictures = write_folder(tmp_path)
    dataset = open_folder(tmp_path)
    assert (dataset.name, dataset.class_names, dataset.input_shape) == (tmp_path.name, CLASSES, (28, 40, 1))
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    train, test = dataset.train.load(), dataset.test.load()
    found = np.concatenate([train.inputs, test.inputs])[..., 0]
    assert sorted(map(bytes, found)) == sorted(map(bytes, pictures))  # each once
    own = np.concatenate([train.labels, test.labels])
    of = {bytes(one): label for one, label in zip(pictures, np.repeat(np.arange(3), 10), strict=True)}
    assert [of[bytes(one)] for one in found] == own.tolist()
    np.testing.assert_allclose([dataset.mean, dataset.std], statistics(train.inputs), rtol=1e-12)
    again = open_folder(tmp_path)
    assert again.train.files == dataset.train.files
    assert (again.mean, again.std) == (dataset.mean, dataset.std)


def test_folders_train_and_test_are_the_split(tmp_path):
    pictures = write_folder(tmp_path / "train", 4, colour=True)
    write_folder(tmp_path / "test", 2, seed=1, colour=True)
    dataset = open_folder(tmp_path)
    np.testing.assert_array_equal(dataset.train.load().inputs, pictures)
    assert (dataset.input_shape, dataset.test.shape) == ((28, 40, 3), (6, 28, 40, 3))
    np.testing.assert_allclose([dataset.mean, dataset.std], statistics(pictures), rtol=1e-12)


def test_one_picture_in_colour_makes_all_of_them_coloured(tmp_path):
    grey = write_folder(tmp_path, 5)
    Image.fromarray(np.stack([grey[0]] * 3, -1)).save(tmp_path / CLASSES[0] / "000.png")  # RGB, and grey all the same
    assert open_folder(tmp_path).input_shape == (28, 40, 1)
    coloured = np.stack([grey[0], grey[1], grey[2]], -1)
    Image.fromarray(coloured).save(tmp_path / CLASSES[0] / "000.png")
    dataset = open_folder(tmp_path)
    assert dataset.input_shape == (28, 40, 3)
    everything = np.concatenate([part.load().inputs for part in (dataset.train, dataset.test)])
    assert any((one == coloured).all() for one in everything)


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_are_scaled_as_infer_scales_them(tmp_path, colour):
    write_folder(tmp_path, 5, colour=colour)
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(tmp_path / CLASSES[0] / "small.png")
    dataset = open_folder(tmp_path, image_size=16)
    scaled = pictures_in(tmp_path, size=(16, 16), channels=3 if colour else 1)
    number_of = {file: number for number, file in enumerate(scaled.files)}
    for part in (dataset.train, dataset.test):
        expected = scaled.images[[number_of[file] for file in part.files]]
        np.testing.assert_array_equal(part.load().inputs, expected)
    np.testing.assert_allclose([dataset.mean, dataset.std], statistics(dataset.train.load().inputs), rtol=1e-12)


def test_any_examples_in_any_order_also_in_another_process(tmp_path):
    write_folder(tmp_path)
    train = open_folder(tmp_path).train
    whole, indices = train.load(), np.array([7, 3, 3, 0])
    for source in (train, pickle.loads(pickle.dumps(train))):
        some = source.read(indices, np.zeros((4, 2), int))
        np.testing.assert_array_equal(some.inputs, whole.inputs[indices])
        np.testing.assert_array_equal(some.labels, whole.labels[indices])
        np.testing.assert_array_equal(source.select(indices).load().inputs, some.inputs)
    assert "24 pictures of 28×40×1" in repr(train)


def test_what_a_run_kept_is_taken_for_granted(tmp_path, monkeypatch):
    write_folder(tmp_path / "one")
    kept = DatasetInfo.of(open_folder(tmp_path / "one"))
    write_folder(tmp_path / "other", 5, seed=3)
    monkeypatch.setattr("hdlif_jax.data.own.folder.look_at", None)  # no picture is looked at
    other = open_folder(tmp_path / "other", info=kept)
    assert (other.mean, other.std) == (kept.mean, kept.std)
    with pytest.raises(DataError, match="other has 12 train and 3 test examples and had 24 and 6"):
        kept.check_same(other)
    write_folder(tmp_path / "wide", shape=(28, 41))
    with pytest.raises(DataError, match=r"000\.png, byte 0: is 41×28 pixels; expected 40×28"):
        open_folder(tmp_path / "wide", info=kept).train.load()
    write_folder(tmp_path / "cows", classes=("bars", "cows", "spots"))
    with pytest.raises(DataError, match="folder 'cows' is none of the classes bars, rings, spots"):
        open_folder(tmp_path / "cows", info=kept)


@pytest.mark.parametrize("options", [{"image_size": 0}, {"image_size": 2.5}, {"info": 3}])
def test_arguments_are_checked(options, tmp_path):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        open_folder(tmp_path, **options)
