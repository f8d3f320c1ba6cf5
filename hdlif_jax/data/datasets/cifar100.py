"""CIFAR-100: photographs of a hundred classes in twenty superclasses, 32×32 pixels, in colour."""

import pathlib

from hdlif_jax.data.datasets.reading import examples_of_arrays
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats import cifar
from hdlif_jax.data.formats.archives import pick
from hdlif_jax.data.originals import CheckFile, Examples, Original, PreparedEntry

URL = "https://www.cs.toronto.edu/~kriz/"


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads both splits and the names of classes and superclasses, binary or pickled.

    Raises:
      DataError: a file is missing or damaged.
    """
    texts = {"coarse_label": "coarse_label_names.txt", "label": "fine_label_names.txt"}
    found = pick(source, {"train.bin", "test.bin", "train", "test", "meta", *texts.values()})
    is_binary = "train.bin" in found

    def member(name: str) -> tuple[bytes, str]:
        if name not in found:
            raise entry.missing(source, name)
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
    return examples_of_arrays(names, parts)


ENTRY = PreparedEntry(
    name="cifar100",
    title="CIFAR-100",
    kind="images",
    shape=(32, 32, 3),
    num_classes=100,
    prepared_name="cifar100",
    version="3.0.2",
    counts={"train": 50000, "test": 10000},
    test="test",
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    originals=(
        Original("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", URL + "cifar-100-binary.tar.gz"),
        Original("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", URL + "cifar-100-python.tar.gz"),
    ),
    one_is_enough=True,
    known={
        "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
        "test.bin": "4499cfba6c016c1be1438163640a0898",
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    reader=read,
)
