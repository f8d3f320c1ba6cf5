"""Tiny-ImageNet and ImageNet: one JPEG file an image, sorted into one folder a class."""

import io
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.formats.archives import Member, walk

JPEG = (".jpeg", ".jpg")


class LabelledFile(NamedTuple):
    """An image file as it is, and its class.

    Attributes:
      name: base name.
      content: the encoded image.
      label: index of its class.
      where: for messages.
    """

    name: str
    content: bytes
    label: int
    where: str


def decode_image(content: bytes, where: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decodes an image file.

    Args:
      content: PNG or JPEG.
      where: its name, for messages.
      size: (H, W) that it must have.

    Returns:
      `[H, W, 3]` uint8.

    Raises:
      DataError: it does not decode or has another size.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # every decoder raises its own
        raise damaged(where, 0, f"does not decode as an image ({error})") from error
    if size is not None and pixels.shape[:2] != size:
        raise damaged(where, 0, f"is {pixels.shape[1]}×{pixels.shape[0]} pixels; expected {size[1]}×{size[0]}")
    return pixels


def tiny_imagenet(source: pathlib.Path) -> tuple[tuple[str, ...], dict[str, Callable[[], Iterator[LabelledFile]]]]:
    """The folder or zip `tiny-imagenet-200`: wnids.txt, train/<wnid>/images, val/images with val_annotations.txt.

    Returns:
      Class names (sorted wnids), and for train and validation a function that begins a pass over the files.

    Raises:
      DataError: a list is missing or names a class that does not exist.
    """
    lists = _texts(source, {"wnids.txt", "val_annotations.txt"})
    for name in ("wnids.txt", "val_annotations.txt"):
        if name not in lists:
            raise DataError(f"{source} holds no {name}; give the unpacked folder or the zip tiny-imagenet-200")
    wnids = tuple(sorted(lists["wnids.txt"][1].split()))
    index = {wnid: label for label, wnid in enumerate(wnids)}
    validation: dict[str, str] = {}
    where, text = lists["val_annotations.txt"]
    offset = 0
    for line in text.splitlines(keepends=True):
        columns = line.split("\t")
        if len(columns) < 2 or columns[1].strip() not in index:
            raise damaged(
                where, offset, f"line {line.strip()!r} does not name a file and one of the classes of wnids.txt"
            )
        validation[columns[0]] = columns[1].strip()
        offset += len(line.encode())

    def files(part: str) -> Iterator[LabelledFile]:
        for member in _images(source):
            folders, name = member.name.split("/")[:-1], member.name.rsplit("/", 1)[-1]
            if part not in folders:
                continue
            wnid = validation.get(name) if part == "val" else next((f for f in folders if f in index), None)
            if wnid is None:
                raise damaged(member.where, 0, "belongs to no class of wnids.txt and val_annotations.txt")
            yield LabelledFile(name, member.read(), index[wnid], member.where)

    return wnids, {"train": lambda: files("train"), "validation": lambda: files("val")}


def imagenet(source: pathlib.Path) -> tuple[tuple[str, ...], dict[str, Callable[[], Iterator[LabelledFile]]]]:
    """ILSVRC 2012, in one of the two layouts in use.

    - The official tars in one folder: ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz.
    - Folders train/<wnid> and val/<wnid>.

    Returns:
      Class names (sorted wnids), and for train and validation a function that begins a pass over the files.

    Raises:
      DataError: parts are missing, or a file belongs to no class.
    """
    tars = {name: source / f"ILSVRC2012_{name}" for name in ("img_train.tar", "img_val.tar", "devkit_t12.tar.gz")}
    if any(path.exists() for path in tars.values()):
        missing = [path.name for path in tars.values() if not path.exists()]
        if missing:
            raise DataError(f"{source} holds no {', '.join(missing)}; the three official archives are needed")
        wnids, truth = _devkit(tars["devkit_t12.tar.gz"])
        train, validation = tars["img_train.tar"], tars["img_val.tar"]
    else:
        train, validation, truth = source / "train", source / "val", None
        if not train.is_dir() or not validation.is_dir():
            raise DataError(
                f"{source} holds neither the folders train and val nor the official archives "
                f"{', '.join(path.name for path in tars.values())}"
            )
        wnids = tuple(sorted(path.name for path in train.iterdir() if path.is_dir()))
    index = {wnid: label for label, wnid in enumerate(wnids)}

    def files(part: pathlib.Path) -> Iterator[LabelledFile]:
        for member in _images(part):
            *folders, name = member.name.split("/")
            if part is validation and truth is not None:
                number = name.rsplit(".", 1)[0].rsplit("_", 1)[-1]
                if not number.isdigit() or not 1 <= int(number) <= len(truth):
                    raise damaged(member.where, 0, f"is none of the {len(truth)} validation images of the devkit")
                label = truth[int(number) - 1]
            elif folders and folders[-1] in index:
                label = index[folders[-1]]
            else:
                raise damaged(
                    member.where, 0, f"lies in no folder of a class such as {wnids[0] if wnids else 'n01440764'}"
                )
            yield LabelledFile(name, member.read(), label, member.where)

    return wnids, {"train": lambda: files(train), "validation": lambda: files(validation)}


def _devkit(path: pathlib.Path) -> tuple[tuple[str, ...], list[int]]:
    """Class names, and the label of each validation image, from the development kit."""
    import scipy.io

    content = {}
    for member in walk(path):
        name = member.name.rsplit("/", 1)[-1]
        if name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"):
            content[name] = member.read()
    try:
        synsets = scipy.io.loadmat(io.BytesIO(content["meta.mat"]), squeeze_me=True)["synsets"]
        # The kit numbers the 1,000 leaves from 1; inner nodes of the hierarchy follow.
        leaves = [entry for entry in np.atleast_1d(synsets) if int(entry["num_children"]) == 0]
        wnid_of = {int(entry["ILSVRC2012_ID"]): str(entry["WNID"]) for entry in leaves}
        truth = [int(line) for line in content["ILSVRC2012_validation_ground_truth.txt"].split()]
    except Exception as error:  # scipy raises whatever its parser stumbled over
        raise damaged(path, 0, f"is not the development kit of ILSVRC 2012 ({error!r})") from error
    wnids = tuple(sorted(wnid_of.values()))
    unknown = [number for number in truth if number not in wnid_of]
    if unknown:
        raise damaged(path, 0, f"ground truth {unknown[0]} is none of the {len(wnid_of)} classes of meta.mat")
    index: dict[str, Any] = {wnid: label for label, wnid in enumerate(wnids)}
    return wnids, [index[wnid_of[number]] for number in truth]


def _texts(source: pathlib.Path, names: set[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    candidates: Iterator[Member] | list[Member]
    direct = list(source.rglob("*.txt")) if source.is_dir() else []
    if direct:
        candidates = [Member(path.name, str(path), path.read_bytes, path) for path in direct if path.name in names]
    else:
        candidates = walk(source)
    for member in candidates:
        name = member.name.rsplit("/", 1)[-1]
        if name in names and name not in found:
            found[name] = (member.where, member.read().decode("utf-8", "replace"))
    return found


def _images(source: pathlib.Path) -> Iterator[Member]:
    for member in walk(source):
        if member.name.lower().endswith(JPEG):
            yield member
