"""CIFAR-100 for measurements: real where it is at hand, else random images of the same shape."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping

import numpy as np

from hdlif_jax import data
from hdlif_jax.data.catalog import prepared_entry

ENTRY = prepared_entry("cifar100")
IMAGE, NUM_CLASSES = (32, 32, 3), 100
SHEET = 500  # images


def load(folder: pathlib.Path | None) -> tuple[data.Dataset, str]:
    """The dataset, and what it was read from.

    Args:
      folder: with `cifar100/` in it: prepared, or in folders of any names its parts, which are lossless sheets of 500
        images one below the other (`train_000.webp` and so on), `train_labels.u8` and `test_labels.u8`, pairs of
        superclass and class, and the names of the classes.

    Raises:
      SystemExit: parts that are not complete or not CIFAR-100.
    """
    if folder is None:
        return synthetic(), "random images of the same shape"
    root = folder / ENTRY.prepared_name
    if (root / ENTRY.version).is_dir():
        found = data.open_dataset("cifar100", folder, num_steps=1)
        return dataclasses.replace(found, train=found.train.load(), test=found.test.load()), "prepared"
    files = {file.name: file for file in root.glob("*/*")}
    if not files:
        return synthetic(), "random images of the same shape"
    try:
        names = tuple(files["fine_label_names.txt"].read_text().split())
        train, test = (_split(files, split) for split in ("train", "test"))
    except KeyError as error:
        raise SystemExit(f"{error.args[0]} is missing in the parts of CIFAR-100 under {root}; copy all parts") from None
    return data.Dataset("cifar100", names, train, test, ENTRY.mean, ENTRY.std), "parts"


def _split(files: Mapping[str, pathlib.Path], name: str) -> data.Split:
    from PIL import Image  # an extra

    labels = np.fromfile(files[f"{name}_labels.u8"], np.uint8).reshape(-1, 2)
    sheets = [files[f"{name}_{number:03d}.webp"] for number in range(len(labels) // SHEET)]
    images = np.concatenate([np.asarray(Image.open(file).convert("RGB")).reshape(-1, *IMAGE) for file in sheets])
    records = np.concatenate([labels, images.transpose(0, 3, 1, 2).reshape(len(labels), -1)], 1)
    if hashlib.md5(records.tobytes()).hexdigest() != ENTRY.known[f"{name}.bin"]:
        raise SystemExit(f"the parts of CIFAR-100 do not make the authors' {name}.bin; copy them anew")
    return data.Split(images, labels[:, 1].astype(np.int32))


def synthetic() -> data.Dataset:
    """Random images and labels in the shape of CIFAR-100."""
    generator = np.random.default_rng(0)
    count = ENTRY.counts["train"]
    inputs = generator.integers(0, 256, (count, *IMAGE), np.uint8)
    labels = generator.integers(0, NUM_CLASSES, count, np.int32)
    train = data.Split(inputs, labels)
    names = tuple(map(str, range(NUM_CLASSES)))
    return data.Dataset("cifar100", names, train, train.select(np.arange(NUM_CLASSES)), (0.5,) * 3, (0.25,) * 3)
