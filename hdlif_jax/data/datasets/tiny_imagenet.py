"""Tiny-ImageNet: photographs of 200 classes of ImageNet, 64×64 pixels, one JPEG file each, sorted into folders."""

import functools
import pathlib
from collections.abc import Iterator

from hdlif_jax.data.datasets.reading import LabelledFile, examples_of_images, image_files
from hdlif_jax.data.errors import damaged
from hdlif_jax.data.formats.archives import pick
from hdlif_jax.data.originals import CheckFile, Examples, Original, PreparedEntry


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads the folder or zip `tiny-imagenet-200`: train/<wnid>/images, and val/images with val_annotations.txt.

    Classes are in the order of the sorted wnids.

    Raises:
      DataError: a list is missing or names a class that does not exist.
    """
    del check  # no digest of a file inside is known
    lists = pick(source, {"wnids.txt", "val_annotations.txt"})
    for name in ("wnids.txt", "val_annotations.txt"):
        if name not in lists:
            raise entry.missing(source, name)
    wnids = tuple(sorted(lists["wnids.txt"].read().decode("utf-8", "replace").split()))
    index = {wnid: label for label, wnid in enumerate(wnids)}
    validation: dict[str, str] = {}
    annotations = lists["val_annotations.txt"]
    offset = 0
    for line in annotations.read().splitlines(keepends=True):
        text = line.decode("utf-8", "replace").strip()
        columns = text.split("\t")
        if len(columns) < 2 or columns[1] not in index:
            raise damaged(
                annotations.where, offset, f"line {text!r} does not name a file and one of the classes of wnids.txt"
            )
        validation[columns[0]] = columns[1]
        offset += len(line)

    def files(part: str) -> Iterator[LabelledFile]:
        for member in image_files(source):
            if part not in member.folders:
                continue
            of_folder = next((folder for folder in member.folders if folder in index), None)
            wnid = validation.get(member.base_name) if part == "val" else of_folder
            if wnid is None:
                raise damaged(member.where, 0, "belongs to no class of wnids.txt and val_annotations.txt")
            yield LabelledFile(member, index[wnid])

    splits = {"train": functools.partial(files, "train"), "validation": functools.partial(files, "val")}
    return examples_of_images(entry, wnids, splits)


ENTRY = PreparedEntry(
    name="tiny-imagenet",
    title="ImageNet-200 (Tiny-ImageNet)",
    kind="images",
    shape=(64, 64, 3),
    num_classes=200,
    prepared_name="tiny_imagenet",
    version="1.0.0",
    counts={"train": 100000, "validation": 10000},
    test="validation",
    mean=(0.4802, 0.4481, 0.3975),
    std=(0.2770, 0.2691, 0.2821),
    originals=(
        Original(
            "tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        ),
    ),
    note="or the unpacked folder",
    reader=read,
)
