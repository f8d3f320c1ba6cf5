"""What tensorflow-datasets prepared, opened by its folder."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from hdlif_jax.data import DataError, DatasetInfo, open_prepared, open_tfds, prepare
from hdlif_jax.data.arrays import statistics
from hdlif_jax.data.own.tfds import AT_ONCE
from tests.data import originals

RNG = np.random.default_rng(0)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder, splits, features, supervised=None, file_format="array_record"):
    """Prepares a dataset as its users do; returns the folder of its version."""
    with tfds.core.registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            """Some pictures."""

            name = "own"
            VERSION = tfds.core.Version("1.2.0")

            def _info(self):
                made = tfds.features.FeaturesDict(features)
                options = {"features": made, "supervised_keys": supervised, "disable_shuffling": True}
                return tfds.core.DatasetInfo(builder=self, **options)

            def _split_generators(self, dl_manager):
                del dl_manager
                return {name: iter(enumerate(examples)) for name, examples in splits.items()}

            def _generate_examples(self):
                raise AssertionError

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        Builder(data_dir=str(folder), file_format=file_format).download_and_prepare()
    return folder / "own" / "1.2.0"


def labelled(number, shape=(6, 9, 1), classes=3, keys=("image", "label")):
    """Examples, and their pictures."""
    pictures = RNG.integers(0, 256, (number, *shape), dtype=np.uint8)
    examples = [dict(zip(keys, (png(one), index % classes), strict=True)) for index, one in enumerate(pictures)]
    return examples, pictures


def features(shape=(6, 9, 1), classes=3, keys=("image", "label"), **others):
    kinds = (tfds.features.Image(shape=shape), tfds.features.ClassLabel(num_classes=classes))
    return dict(zip(keys, kinds, strict=True)) | others


def test_a_dataset_of_the_catalogue_is_the_same_by_its_folder(tmp_path):
    originals.write_mnist(tmp_path, np.random.default_rng(0), sizes=(60, 20))
    path = prepare("mnist", tmp_path, tmp_path / "data", partial=True)
    own, known = open_tfds(path), open_prepared("mnist", tmp_path / "data", num_steps=4)
    for part in ("train", "test"):
        one, other = getattr(own, part).load(), getattr(known, part).load()
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert (own.name, own.class_names) == ("mnist", known.class_names)
    np.testing.assert_allclose([own.mean, own.std], statistics(own.train.load().inputs), rtol=1e-12)
    assert open_tfds(path.parent).train.directory == path  # its only version


def test_other_names_and_no_test_split(tmp_path):
    keys = ("picture", "kind")
    examples, pictures = labelled(AT_ONCE + 14, keys=keys)
    others = {"coarse": tfds.features.ClassLabel(names=["a"])}
    examples = [example | {"coarse": 0} for example in examples]
    path = write(tmp_path, {"train": examples}, features(keys=keys, **others), supervised=keys)
    dataset = open_tfds(path)
    assert (dataset.input_shape, dataset.class_names) == ((6, 9, 1), ("0", "1", "2"))
    assert np.bincount(dataset.test.labels).tolist() == [18, 18, 18]
    found = np.concatenate([part.load().inputs for part in (dataset.train, dataset.test)])
    assert sorted(map(bytes, found)) == sorted(map(bytes, pictures))
    np.testing.assert_allclose([dataset.mean, dataset.std], statistics(dataset.train.load().inputs), rtol=1e-12)
    again = open_tfds(path, info=DatasetInfo.of(dataset))
    np.testing.assert_array_equal(again.test.indices, dataset.test.indices)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_varying_size_are_cut_to_one(tmp_path, channels):
    sizes = [(20, 30), (31, 12), (16, 16), (40, 9)] * 3
    examples = [
        {"image": png(RNG.integers(0, 256, (*size, channels), dtype=np.uint8)), "label": index % 2}
        for index, size in enumerate(sizes)
    ]
    path = write(tmp_path, {"train": examples, "validation": examples[:4]}, features((None, None, channels), 2))
    dataset = open_tfds(path, image_size=8)
    assert dataset.train.shape == (12, 8, 8, 1 if channels == 1 else 3)
    centre, keys = dataset.train.read(np.arange(4)), np.arange(8).reshape(4, 2)
    np.testing.assert_array_equal(dataset.test.load().inputs, centre.inputs)
    random = dataset.train.read(np.arange(4), keys).inputs
    assert (random != centre.inputs).any()
    np.testing.assert_array_equal(dataset.train.read(np.arange(4), keys).inputs, random)


def without(path, name):
    (path / name).unlink()


def in_tfrecords(path):
    info = json.loads((path / "dataset_info.json").read_text())
    (path / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))


WRONG = {
    "nothing there": (lambda path: path.rename(path.with_name("away")), "has no dataset_info.json; name the folder of"),
    "no description": (lambda path: without(path, "dataset_info.json"), "has no dataset_info.json"),
    "no features": (lambda path: without(path, "features.json"), "is not a dataset prepared by tensorflow-datasets"),
    "another format": (in_tfrecords, "is stored as tfrecord; prepare it again with file_format='array_record'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_that_is_none(name, tmp_path):
    spoil, message = WRONG[name]
    path = write(tmp_path, {"train": labelled(12)[0]}, features())
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        open_tfds(path)
    assert str(path) in str(caught.value)


def text(example):
    return {"image": example["image"], "text": "x"}


@pytest.mark.parametrize(
    ("splits", "kinds", "message"),
    [
        ({"train": [text(one) for one in labelled(4)[0]]}, "no label", "1 are images and 0 class labels; expected one"),
        ({"whole": labelled(4)[0]}, "usual", "has no split 'train', only whole"),
        ({"train": labelled(4, classes=1)[0], "test": labelled(4)[0]}, "usual", "class 1 has no training example"),
        ({"train": labelled(4)[0], "test": [labelled(1)[0][0] | {"label": -1}]}, "usual", "label -1 is outside 0…2"),
        ({"train": labelled(4, classes=1)[0], "test": labelled(4)[0]}, "one class", "own has one class alone, 0"),
    ],
)
def test_a_dataset_of_no_use(splits, kinds, message, tmp_path):
    if kinds == "no label":
        made = {"image": tfds.features.Image(shape=(6, 9, 1)), "text": tfds.features.Text()}
    else:
        made = features(classes=1 if kinds == "one class" else 3)
        if kinds == "one class":
            splits = {name: [one | {"label": 0} for one in examples] for name, examples in splits.items()}
    with pytest.raises(DataError, match=message):
        open_tfds(write(tmp_path, splits, made))


def test_two_versions_are_named(tmp_path):
    path = write(tmp_path, {"train": labelled(12)[0]}, features())
    path.with_name("2.0.0").symlink_to(path)
    with pytest.raises(DataError, match=r"own has 2 versions, 1\.2\.0, 2\.0\.0; name the folder of one version"):
        open_tfds(path.parent)
