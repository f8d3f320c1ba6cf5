"""From the authors' files to a stream of examples, dataset by dataset."""

import functools
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax.data import catalog
from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.events import load_events
from hdlif_jax.data.formats import cifar, dvs128, folders, idx, nmnist
from hdlif_jax.data.formats.archives import Member, gunzip, pick, walk

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DIGIT_NAMES = tuple(str(digit) for digit in range(10))
DVS_TEST_RECORDINGS = 100  # per class: 0…99 are the test set, as in the literature since TEBN (2022)


class Examples(NamedTuple):
    """The examples of a dataset, as they were distributed.

    Attributes:
      class_names: by name of the label: {"label": ...}, and "coarse_label" for CIFAR-100.
      splits: for each split a function that begins a pass. An example is a dict: the labels, an `id`, and `image`
        (`[H, W, C]` uint8), `encoded` (an image file's bytes) or `events`.
    """

    class_names: dict[str, tuple[str, ...]]
    splits: dict[str, Callable[[], Iterator[dict[str, Any]]]]


CheckFile = Callable[[str, bytes, str], None]  # (base name, content, where): raises where a known digest differs


def open_originals(entry: catalog.Entry, source: pathlib.Path, check: CheckFile) -> Examples:
    """The examples in the authors' files.

    Args:
      entry: which dataset.
      source: folder or archive.
      check: called with each file that may have a known digest.

    Raises:
      DataError: files are missing or damaged; damage further inside is met on the pass.
    """
    readers = {
        "mnist": lambda: _idx(entry, source, check, DIGIT_NAMES),
        "fashion-mnist": lambda: _idx(entry, source, check, FASHION_NAMES),
        "cifar10": lambda: _cifar10(entry, source, check),
        "cifar100": lambda: _cifar100(entry, source, check),
        "tiny-imagenet": lambda: _folders(*folders.tiny_imagenet(source), size=(64, 64)),
        "imagenet": lambda: _folders(*folders.imagenet(source), size=None),
        "nmnist": lambda: _nmnist(source),
        "dvs-cifar10": lambda: _dvs_cifar10(source),
    }
    return readers[entry.name]()


def _missing(entry: catalog.Entry, source: pathlib.Path, names: list[str]) -> DataError:
    return DataError(f"{source} holds no {', '.join(names)}; {entry.name} needs {entry.what_to_get()}")


def _idx(entry, source, check, class_names) -> Examples:
    stems = {"train": "train", "test": "t10k"}
    names = {f"{stem}-{kind}-ubyte" for stem in stems.values() for kind in ("images-idx3", "labels-idx1")}
    found = pick(source, names | {name + ".gz" for name in names})

    def content(name: str) -> tuple[bytes, str]:
        member = found.get(name) or found.get(name + ".gz")
        if member is None:
            raise _missing(entry, source, [name])
        raw = member.read()
        raw = gunzip(raw, member.where) if name not in found else raw
        check(name, raw, member.where)
        return raw, member.where

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        images = idx.parse_idx(*content(f"{stems[split]}-images-idx3-ubyte"), num_dims=3)
        raw, where = content(f"{stems[split]}-labels-idx1-ubyte")
        labels = idx.parse_idx(raw, where, num_dims=1)
        if images.shape[1:] != entry.shape[:2]:
            raise damaged(where, 8, f"images of {images.shape[1:]} pixels; expected {entry.shape[:2]}")
        if len(images) != len(labels):
            raise damaged(where, 4, f"{len(labels)} labels for {len(images)} images; both files must be of one release")
        bad = np.flatnonzero(labels >= len(class_names))
        if bad.size:
            raise damaged(where, 8 + int(bad[0]), f"label {labels[bad[0]]} is outside 0…{len(class_names) - 1}")
        return images[..., None], labels

    parts = {split: read(split) for split in stems}
    return _arrays({"label": class_names}, {split: (x, {"label": y}) for split, (x, y) in parts.items()})


def _cifar10(entry, source, check) -> Examples:
    train = [f"data_batch_{number}" for number in range(1, 6)]
    binary = {name + ".bin" for name in [*train, "test_batch"]}
    found = pick(source, binary | {*train, "test_batch"})
    is_binary = "test_batch.bin" in found

    def read(name: str):
        member = found.get(name + ".bin" if is_binary else name)
        if member is None:
            raise _missing(entry, source, [name + ".bin"])
        content = member.read()
        check(member.name.rsplit("/", 1)[-1], content, member.where)
        if is_binary:
            return cifar.parse_binary(content, member.where, (10,))
        return cifar.parse_python(content, member.where, ("labels",), (10,))

    parts = {}
    for split, names in {"train": train, "test": ["test_batch"]}.items():
        images, labels = (np.concatenate(arrays) for arrays in zip(*map(read, names), strict=True))
        parts[split] = images, {"label": labels[:, 0]}
    return _arrays({"label": CIFAR10_NAMES}, parts)


def _cifar100(entry, source, check) -> Examples:
    texts = {"coarse_label": "coarse_label_names.txt", "label": "fine_label_names.txt"}
    found = pick(source, {"train.bin", "test.bin", "train", "test", "meta", *texts.values()})
    is_binary = "train.bin" in found

    def member(name: str) -> tuple[bytes, str]:
        if name not in found:
            raise _missing(entry, source, [name])
        content = found[name].read()
        check(name, content, found[name].where)
        return content, found[name].where

    if is_binary:
        names = {key: tuple(member(text)[0].decode().split()) for key, text in texts.items()}
    else:
        meta = cifar.unpickle(*member("meta"))
        names = {"coarse_label": tuple(meta["coarse_label_names"]), "label": tuple(meta["fine_label_names"])}
    for key, number in {"coarse_label": 20, "label": 100}.items():
        if len(names[key]) != number:
            raise DataError(f"{source} names {len(names[key])} {key} classes; expected {number}")

    parts = {}
    for split in ("train", "test"):
        if is_binary:
            images, labels = cifar.parse_binary(*member(split + ".bin"), (20, 100))
        else:
            images, labels = cifar.parse_python(*member(split), ("coarse_labels", "fine_labels"), (20, 100))
        parts[split] = images, {"coarse_label": labels[:, 0], "label": labels[:, 1]}
    return _arrays(names, parts)


def _arrays(class_names, parts: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]) -> Examples:
    def begin(split: str, images: np.ndarray, labels: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        for index, image in enumerate(images):
            example = {key: int(values[index]) for key, values in labels.items()}
            yield {"image": image, "id": f"{split}_{index:05d}", **example}

    return Examples(
        class_names,
        {split: functools.partial(begin, split, *part) for split, part in parts.items()},
    )


def _folders(wnids, splits, size) -> Examples:
    def begin(files) -> Iterator[dict[str, Any]]:
        for file in files():
            folders.decode_image(file.content, file.where, size)  # a broken image is refused now, not in training
            yield {"encoded": file.content, "id": file.name, "label": file.label}

    return Examples({"label": wnids}, {split: functools.partial(begin, files) for split, files in splits.items()})


def _nmnist(source: pathlib.Path) -> Examples:
    def begin(part: str) -> Iterator[dict[str, Any]]:
        for member in walk(source):
            *parents, name = member.name.split("/")
            if not name.endswith(".bin") or part not in parents:
                continue
            if parents[-1] not in DIGIT_NAMES:
                raise damaged(member.where, 0, f"lies in folder {parents[-1]!r}; expected {part}/<digit>/<number>.bin")
            recording = nmnist.parse_nmnist(member.read(), member.where)
            yield {"events": load_events(recording), "id": f"{part}/{name}", "label": int(parents[-1])}

    return Examples({"label": DIGIT_NAMES}, {"train": lambda: begin("Train"), "test": lambda: begin("Test")})


def _dvs_cifar10(source: pathlib.Path) -> Examples:
    def begin(wanted: str) -> Iterator[dict[str, Any]]:
        for member in walk(source):
            *parents, name = member.name.split("/")
            match = re.fullmatch(r"(?:cifar10_([a-z]+)_)?(\d+)\.(aedat|mat)", name)
            if not match:
                continue
            class_name = match[1] or (parents[-1] if parents else "")
            if class_name not in CIFAR10_NAMES:
                raise damaged(
                    member.where, 0, f"is of class {class_name!r}; expected one of {', '.join(CIFAR10_NAMES)}"
                )
            split = "test" if int(match[2]) < DVS_TEST_RECORDINGS else "train"
            if split == wanted:
                label = CIFAR10_NAMES.index(class_name)
                yield {"events": _dvs_events(member, match[3]), "id": f"{class_name}/{name}", "label": label}

    return Examples({"label": CIFAR10_NAMES}, {"train": lambda: begin("train"), "test": lambda: begin("test")})


def _dvs_events(member: Member, suffix: str):
    read = dvs128.open_aedat if suffix == "aedat" else dvs128.parse_mat
    if member.path is not None:
        return load_events(read(member.path))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / member.name.rsplit("/", 1)[-1]
        path.write_bytes(member.read())
        try:
            return load_events(read(path))
        except DataError as error:
            raise DataError(str(error).replace(str(path), member.where)) from error
