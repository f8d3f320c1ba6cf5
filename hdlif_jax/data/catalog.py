"""The datasets by name. A new one is a file in `datasets/` and a line here."""

from hdlif_jax.data.datasets import (
    cifar10,
    cifar100,
    digits,
    dvs_cifar10,
    fashion_mnist,
    imagenet,
    mnist,
    nmnist,
    tiny_imagenet,
)
from hdlif_jax.data.entry import Entry
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.originals import PreparedEntry

#: The datasets by name.
CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        mnist.ENTRY,
        fashion_mnist.ENTRY,
        cifar10.ENTRY,
        cifar100.ENTRY,
        tiny_imagenet.ENTRY,
        imagenet.ENTRY,
        nmnist.ENTRY,
        dvs_cifar10.ENTRY,
        digits.ENTRY,
    )
}


def entry(name: str) -> Entry:
    """The catalogue's entry of a name.

    Raises:
      DataError: no such dataset.
    """
    if name not in CATALOG:
        raise DataError(f"dataset {name!r} is unknown; choose one of {', '.join(CATALOG)}")
    return CATALOG[name]


def prepared_entry(name: str) -> PreparedEntry:
    """The entry of a dataset that has to be prepared.

    Raises:
      DataError: no such dataset, or one that comes with a package.
    """
    found = entry(name)
    if not isinstance(found, PreparedEntry):
        raise DataError(f"{name} comes with a package and is never prepared; open it with open_dataset")
    return found
