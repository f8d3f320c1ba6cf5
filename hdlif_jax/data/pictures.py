"""Your own picture files, a folder for each class."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats.archives import files_in, folders_in
from hdlif_jax.data.formats.images import PICTURES, decode_image, resize_image


class Pictures(NamedTuple):
    """Pictures in memory, in the order of their classes and file names.

    Attributes:
      images: `[N, H, W, C]` uint8.
      labels: `[N]` int32.
      class_names: one per class, the folders' names.
      files: `[N]` where each came from.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[pathlib.Path, ...]


@check_arguments
def pictures_in(
    folder: pathlib.Path | str,
    *,
    size: tuple[Count, Count] | None = None,
    channels: Count = 3,
    class_names: Sequence[str] | None = None,
) -> Pictures:
    """Reads `folder/<class>/…`, for `Dataset.from_arrays`; what they show is said at `decode_image`.

    Args:
      folder: holds a folder for each class, and in those, at any depth, pictures and nothing else.
      size: (H, W) to scale every picture to, as the command infer does with --resize; None where all are of one size.
      channels: 3 for RGB, 1 for grey.
      class_names: the classes in their order, so that training and test folders agree; all folders, sorted, by default.

    Raises:
      DataError: no classes, one without pictures or that is not among `class_names`, a file that is no picture, or
        pictures of several sizes without `size`.
    """
    files, labels, names = picture_files(folder, class_names)
    images: list[np.ndarray] = []
    for file in files:
        pixels = decode_image(file.read_bytes(), str(file), channels=channels)
        pixels = pixels if size is None else resize_image(pixels, size)
        if images and pixels.shape != images[0].shape:
            height, width = pixels.shape[:2]
            raise DataError(
                f"{file} has {width}×{height} pixels, {files[0]} has {images[0].shape[1]}×{images[0].shape[0]}; "
                "give size=(height, width) to scale all pictures to"
            )
        images.append(pixels)
    return Pictures(np.stack(images), labels, names, files)


def picture_files(
    folder: pathlib.Path | str, class_names: Sequence[str] | None = None
) -> tuple[tuple[pathlib.Path, ...], np.ndarray, tuple[str, ...]]:
    """The files in `folder/<class>/…`, their labels `[N]` int32 and the class names; see `pictures_in`.

    Raises:
      DataError: as `pictures_in`; what is in the files is not looked at.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; expected one that holds a folder of pictures for each class")
    found = [path.name for path in folders_in(folder)]
    names = tuple(found if class_names is None else class_names)
    foreign = sorted(set(found) - set(names))
    if not found or foreign:
        problem = f"folder {foreign[0]!r} is none of the classes {', '.join(names)}" if foreign else "it has no folders"
        raise DataError(f"{folder}: {problem}; expected a folder of pictures for each class")
    labels: list[int] = []
    files: list[pathlib.Path] = []
    for label, name in enumerate(names):
        own = list(files_in(folder / name)) if name in found else []
        if not own:
            raise DataError(f"{folder}: class {name!r} has no pictures; remove the class, or put its pictures there")
        for file in own:
            if file.suffix.lower() not in PICTURES:
                raise DataError(f"{file} is no picture that is read here; convert it to one of {', '.join(PICTURES)}")
        labels += [label] * len(own)
        files += own
    return tuple(files), np.array(labels, np.int32), names
