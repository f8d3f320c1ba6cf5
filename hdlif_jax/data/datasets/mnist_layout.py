"""The layout of MNIST, which other datasets took over: four IDX files, as they are or zipped one by one."""

import pathlib

import numpy as np

from hdlif_jax.data.datasets.reading import examples_of_arrays
from hdlif_jax.data.errors import damaged
from hdlif_jax.data.formats import idx
from hdlif_jax.data.formats.archives import gunzip, pick
from hdlif_jax.data.originals import CheckFile, Examples, Original, PreparedEntry


def originals(url: str) -> tuple[Original, ...]:
    """The four files below an address."""
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(Original(f"{stem}-ubyte.gz", url=f"{url}{stem}-ubyte.gz") for stem in stems)


def read_idx(entry: PreparedEntry, source: pathlib.Path, check: CheckFile, /, class_names: tuple[str, ...]) -> Examples:
    """Reads the four files.

    Args:
      entry: says how large the images must be.
      source: folder or archive.
      check: called with each file, unzipped.
      class_names: one per class.

    Raises:
      DataError: a file is missing or damaged, or images and labels do not belong together.
    """
    stems = {"train": "train", "test": "t10k"}
    names = {f"{stem}-{kind}-ubyte" for stem in stems.values() for kind in ("images-idx3", "labels-idx1")}
    found = pick(source, names | {name + ".gz" for name in names})

    def content(name: str) -> tuple[bytes, str]:
        member = found.get(name) or found.get(name + ".gz")
        if member is None:
            raise entry.missing(source, name)
        raw = member.read()
        raw = gunzip(raw, member.where) if name not in found else raw
        check(name, raw, member.where)
        return raw, member.where

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        raw, where = content(f"{stems[split]}-images-idx3-ubyte")
        images = idx.parse_idx(raw, where, num_dims=3)
        if images.shape[1:] != entry.shape[:2]:
            raise damaged(where, 8, f"images of {images.shape[1:]} pixels; expected {entry.shape[:2]}")
        raw, where = content(f"{stems[split]}-labels-idx1-ubyte")
        labels = idx.parse_idx(raw, where, num_dims=1)
        if len(images) != len(labels):
            raise damaged(where, 4, f"{len(labels)} labels for {len(images)} images; both files must be of one release")
        bad = np.flatnonzero(labels >= len(class_names))
        if bad.size:
            raise damaged(where, 8 + int(bad[0]), f"label {labels[bad[0]]} is outside 0…{len(class_names) - 1}")
        return images[..., None], labels

    parts = {split: read(split) for split in stems}
    return examples_of_arrays(
        {"label": class_names}, {split: (images, {"label": labels}) for split, (images, labels) in parts.items()}
    )
