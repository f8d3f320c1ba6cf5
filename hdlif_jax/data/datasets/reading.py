"""What several datasets share."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hdlif_jax.data.formats.archives import Member, walk
from hdlif_jax.data.formats.images import PICTURES, decode_image
from hdlif_jax.data.originals import Example, Examples, PreparedEntry, Unread

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGIT_NAMES = tuple(str(digit) for digit in range(10))
COUNTS_MEAN, COUNTS_STD = (0.0, 0.0), (1 / 255, 1 / 255)  # of [0, 1]: these leave event counts as they are


def examples_of_arrays(
    class_names: dict[str, tuple[str, ...]], parts: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]
) -> Examples:
    """Examples that are in memory.

    Args:
      class_names: by name of the label.
      parts: for each split, `[N, H, W, C]` uint8 images and, by name, `[N]` labels.
    """

    def begin(split: str, images: np.ndarray, labels: dict[str, np.ndarray]) -> Iterator[Unread]:
        for index in range(len(images)):
            name = f"{split}_{index:05d}"

            def read(index: int = index, name: str = name) -> Example:
                return {"image": images[index], "id": name, **{key: int(own[index]) for key, own in labels.items()}}

            yield Unread(name, read)

    return Examples(class_names, {split: functools.partial(begin, split, *part) for split, part in parts.items()})


class LabelledFile(NamedTuple):
    """An image file as it is, and its class.

    Attributes:
      member: the file.
      label: index of its class.
    """

    member: Member
    label: int


def examples_of_images(
    entry: PreparedEntry, class_names: tuple[str, ...], splits: Mapping[str, Callable[[], Iterator[LabelledFile]]]
) -> Examples:
    """Examples that are image files.

    Args:
      entry: says which size they must have, if any.
      class_names: one per class.
      splits: for each split a function that begins a pass over its files.
    """
    height, width, _ = entry.shape
    size = None if height is None or width is None else (height, width)

    def read(member: Member, label: int) -> Example:
        content = member.read()
        decode_image(content, member.where, size)  # a broken image is refused now, not in training
        return {"encoded": content, "id": member.base_name, "label": label}

    def begin(files: Callable[[], Iterator[LabelledFile]]) -> Iterator[Unread]:
        for member, label in files():
            yield Unread(member.where, functools.partial(read, member, label))

    return Examples({"label": class_names}, {split: functools.partial(begin, files) for split, files in splits.items()})


def image_files(source: pathlib.Path) -> Iterator[Member]:
    """The pictures among the files of a walk."""
    for member in walk(source):
        if member.name.lower().endswith(PICTURES):
            yield member
