"""CIFAR-10: photographs of ten classes, 32×32 pixels, in colour."""

import pathlib

import numpy as np

from hdlif_jax.data.datasets.reading import CIFAR10_NAMES, examples_of_arrays
from hdlif_jax.data.formats import cifar
from hdlif_jax.data.formats.archives import pick
from hdlif_jax.data.originals import CheckFile, Examples, Original, PreparedEntry

URL = "https://www.cs.toronto.edu/~kriz/"


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads the five training batches and the test batch, binary or pickled.

    Raises:
      DataError: one is missing or damaged.
    """
    train = [f"data_batch_{number}" for number in range(1, 6)]
    binary = {name + ".bin" for name in [*train, "test_batch"]}
    found = pick(source, binary | {*train, "test_batch"})
    is_binary = "test_batch.bin" in found

    def batch(name: str) -> tuple[np.ndarray, np.ndarray]:
        member = found.get(name + ".bin" if is_binary else name)
        if member is None:
            raise entry.missing(source, name + ".bin")
        content = member.read()
        check(member.base_name, content, member.where)
        if is_binary:
            return cifar.parse_binary(content, member.where, (10,))
        return cifar.parse_python(content, member.where, ("labels",), (10,))

    parts = {}
    for split, names in {"train": train, "test": ["test_batch"]}.items():
        images, labels = (np.concatenate(arrays) for arrays in zip(*map(batch, names), strict=True))
        parts[split] = images, {"label": labels[:, 0]}
    return examples_of_arrays({"label": CIFAR10_NAMES}, parts)


ENTRY = PreparedEntry(
    name="cifar10",
    title="CIFAR-10",
    kind="images",
    shape=(32, 32, 3),
    num_classes=10,
    prepared_name="cifar10",
    version="3.0.2",
    counts={"train": 50000, "test": 10000},
    test="test",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    originals=(
        Original("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", URL + "cifar-10-binary.tar.gz"),
        Original("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", URL + "cifar-10-python.tar.gz"),
    ),
    one_is_enough=True,
    known={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    reader=read,
)
