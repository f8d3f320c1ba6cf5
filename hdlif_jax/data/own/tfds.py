"""Any dataset of images that tensorflow-datasets prepared, by its folder."""

import pathlib
from typing import Any

import numpy as np

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.data.dataset import TEST_FRACTION, Dataset
from hdlif_jax.data.entry import IMAGE_SIZE
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.extras import needed
from hdlif_jax.data.formats.archives import folders_in
from hdlif_jax.data.info import DatasetInfo
from hdlif_jax.data.own.checks import check_classes
from hdlif_jax.data.own.levels import count_levels, statistics_of
from hdlif_jax.data.records import Records, image_decoder, info_of
from hdlif_jax.data.source import Source, hold_out

DESCRIPTION = "dataset_info.json"
TRAIN, TESTS = "train", ("test", "validation")  # the first that there is
AT_ONCE = 256  # pictures that are counted together


@check_arguments
def open_tfds(
    directory: pathlib.Path | str, *, image_size: Count | None = None, info: DatasetInfo | None = None
) -> Dataset:
    """The dataset in a folder that tensorflow-datasets prepared in array_record files; needs no TensorFlow.

    Its split `train` is trained on, and `test`, or else `validation`, is the test set; without both, a fifth of each
    class of `train`. It has one image and one class label an example.

    Args:
      directory: `data_dir/<name>/<version>`, or `data_dir/<name>` with one version in it.
      image_size: height and width that images of varying size are cut to, 224 by default; others ignore it.
      info: of a run that began with this data, whose statistics it keeps.

    Raises:
      DataError: no such dataset, or one that is no images with a label each.
    """
    path = _version_of(pathlib.Path(directory))
    found = info_of(path)
    image, label = _keys_of(found, path)
    height, width, channels = found.features[image].shape
    channels = 1 if channels == 1 else 3  # what is transparent lies on white
    size = IMAGE_SIZE if image_size is None else image_size
    varies = height is None or width is None
    shape = (size, size, channels) if varies else (height, width, channels)
    decode = image_decoder((height, width, channels), size)
    names = tuple(found.features[label].names)

    def records(part: str) -> Records:
        indices = np.arange(found.splits[part].num_examples)
        return Records(path, part, shape, len(names), decode, indices, (image, label))

    if TRAIN not in found.splits:
        raise DataError(f"{path} has no split {TRAIN!r}, only {', '.join(found.splits) or 'nothing'}")
    part = next((part for part in TESTS if part in found.splits), None)
    train, test = hold_out(records(TRAIN), TEST_FRACTION) if part is None else (records(TRAIN), records(part))
    mean, std = _statistics(train) if info is None else (info.mean, info.std)
    dataset = Dataset(path.parent.name, names, train, test, mean, std)
    check_classes(dataset)
    return dataset if info is None else info.applied_to(dataset)


def _version_of(directory: pathlib.Path) -> pathlib.Path:
    if (directory / DESCRIPTION).is_file():
        return directory
    folders = [path for path in folders_in(directory) if (path / DESCRIPTION).is_file()] if directory.is_dir() else []
    if len(folders) == 1:
        return folders[0]
    problem = f"{len(folders)} versions, {', '.join(path.name for path in folders)}" if folders else f"no {DESCRIPTION}"
    raise DataError(
        f"{directory} has {problem}; name the folder of one version of a dataset that tensorflow-datasets prepared, "
        "such as data/cifar10/3.0.2"
    )


def _keys_of(found: Any, path: pathlib.Path) -> tuple[str, str]:
    """Names of the image and of the label: the supervised ones, or else the only ones."""
    kinds = needed("tensorflow_datasets").features
    features = found.features
    images = [name for name in features if isinstance(features[name], kinds.Image)]
    labels = [name for name in features if isinstance(features[name], kinds.ClassLabel)]
    chosen: tuple[Any, ...] = found.supervised_keys or ()
    if len(chosen) == 2 and chosen[0] in images and chosen[1] in labels:
        return chosen[0], chosen[1]
    if len(images) == len(labels) == 1:
        return images[0], labels[0]
    if len(images) == 1 and "label" in labels:
        return images[0], "label"
    raise DataError(
        f"{path} has the features {', '.join(features)}, of which {len(images)} are images and {len(labels)} class "
        "labels; expected one of each, or supervised_keys that name them"
    )


def _statistics(train: Source) -> tuple[tuple[float, ...], tuple[float, ...]]:
    number = train.shape[0]
    parts = (train.read(np.arange(at, min(at + AT_ONCE, number))).inputs for at in range(0, number, AT_ONCE))
    return statistics_of(sum(map(count_levels, parts), np.zeros((train.shape[-1], 1), np.int64)))
