"""Your own pictures, a folder for each class."""

import pathlib

import numpy as np

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.data.dataset import TEST_FRACTION, Dataset
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats.archives import files_in, folders_in
from hdlif_jax.data.info import DatasetInfo
from hdlif_jax.data.own.checks import check_classes
from hdlif_jax.data.own.files import PictureFiles, look_at
from hdlif_jax.data.own.levels import statistics_of
from hdlif_jax.data.pictures import picture_files
from hdlif_jax.data.source import held_out

TRAIN, TEST = "train", "test"


@check_arguments
def open_folder(
    folder: pathlib.Path | str, *, image_size: Count | None = None, info: DatasetInfo | None = None
) -> Dataset:
    """The dataset of a folder of pictures, `folder/<class>/…`, or `folder/train/<class>/…` and `folder/test/<class>/…`.

    Without a test folder a fifth of each class is held out as the test set, the same pictures at every call. Pictures
    are read where they are, as viewers show them; where all are grey they have one channel.

    Args:
      folder: holds the classes.
      image_size: height and width to scale all pictures to; None where they are of one size.
      info: of a run that began with this folder, whose shape and statistics are then taken for granted.

    Raises:
      DataError: no classes, one alone or without pictures, a class of the test folder alone, a file that is no
        picture, or pictures of several sizes without `image_size`.
    """
    folder = pathlib.Path(folder)
    files, labels, in_test, names = _listed(folder, None if info is None else info.class_names)
    if len(names) < 2:
        raise DataError(f"{folder} has one class alone, {names[0]}; expected a folder for each of at least two")
    if not in_test.any():
        raise DataError(
            f"{folder}: a fifth of each class is no picture; give more pictures, or the folders train and test"
        )
    size = None if image_size is None else (image_size, image_size)
    if info is None:
        found, channels, counts = look_at(files, ~in_test, size)
        shape = (*found, channels)
        mean, std = statistics_of(counts)
    else:
        shape, mean, std = info.spec.shape, info.mean, info.std
    pictures = PictureFiles(files, labels, shape, size is not None)
    train, test = (pictures.select(np.flatnonzero(part)) for part in (~in_test, in_test))
    dataset = Dataset(folder.resolve().name, names, train, test, mean, std)
    check_classes(dataset)
    return dataset if info is None else info.applied_to(dataset)


def _listed(
    folder: pathlib.Path, class_names: tuple[str, ...] | None
) -> tuple[tuple[pathlib.Path, ...], np.ndarray, np.ndarray, tuple[str, ...]]:
    """Files, labels `[N]`, which of them are of the test set `[N]`, and the names of the classes."""
    folders = [path.name for path in folders_in(folder)] if folder.is_dir() else []
    if not folders:
        what = "no folders" if folder.is_dir() else "not there, or no folder"
        loose = folder.is_dir() and any(True for _ in files_in(folder))
        raise DataError(
            f"{folder} {'has' if folder.is_dir() else 'is'} {what}; expected a folder of pictures for each class"
            + (": put its files into such" if loose else "")
        )
    if TRAIN not in folders:
        files, labels, names = picture_files(folder, class_names)
        return files, labels, held_out(labels, TEST_FRACTION), names
    others = sorted(set(folders) - {TRAIN, TEST})
    if TEST not in folders or others:
        problem = f"and {others[0]} beside it" if others else f"and no folder {TEST}"
        raise DataError(
            f"{folder} has a folder {TRAIN} {problem}; expected {TRAIN} and {TEST} alone, each with a folder for each "
            f"class, or the classes themselves"
        )
    files, labels, names = picture_files(folder / TRAIN, class_names)
    test_files, test_labels, _ = picture_files(folder / TEST, names)
    in_test = np.arange(len(files) + len(test_files)) >= len(files)
    return files + test_files, np.concatenate([labels, test_labels]), in_test, names
