"""DVS-CIFAR10: images of CIFAR-10 in front of an event camera of 128×128 pixels."""

import functools
import pathlib
import re
import tempfile
from collections.abc import Iterator

from hdlif_jax.data.datasets.reading import CIFAR10_NAMES, COUNTS_MEAN, COUNTS_STD
from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.events import Events, load_events
from hdlif_jax.data.formats import dvs128
from hdlif_jax.data.formats.archives import Member, walk
from hdlif_jax.data.originals import CheckFile, Example, Examples, Original, PreparedEntry

URL = "https://ndownloader.figshare.com/files/"
TEST_RECORDINGS = 100  # per class: 0…99 are the test set, as in the literature since TEBN (2022)


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads recordings of AEDAT or MATLAB, one after the other; a file's name or folder says its class.

    Raises:
      DataError: on the pass, where a recording is damaged or of no class.
    """
    del entry, check  # the archives have digests, the files inside have none

    def begin(wanted: str) -> Iterator[Example]:
        for member in walk(source):
            match = re.fullmatch(r"(?:cifar10_([a-z]+)_)?(\d+)\.(aedat|mat)", member.base_name)
            if not match:
                continue
            class_name = match[1] or (member.folders[-1] if member.folders else "")
            if class_name not in CIFAR10_NAMES:
                raise damaged(
                    member.where, 0, f"is of class {class_name!r}; expected one of {', '.join(CIFAR10_NAMES)}"
                )
            split = "test" if int(match[2]) < TEST_RECORDINGS else "train"
            if split == wanted:
                label = CIFAR10_NAMES.index(class_name)
                yield {"events": _events(member, match[3]), "id": f"{class_name}/{member.base_name}", "label": label}

    return Examples({"label": CIFAR10_NAMES}, {split: functools.partial(begin, split) for split in ("train", "test")})


def _events(member: Member, suffix: str) -> Events:
    """The events of a recording, which its format's reader wants in a file of its own."""
    read = dvs128.open_aedat if suffix == "aedat" else dvs128.parse_mat
    if member.path is not None:
        return load_events(read(member.path))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / member.base_name
        path.write_bytes(member.read())
        try:
            return load_events(read(path))
        except DataError as error:
            raise DataError(str(error).replace(str(path), member.where)) from error


ENTRY = PreparedEntry(
    name="dvs-cifar10",
    title="DVS-CIFAR10",
    kind="events",
    shape=(128, 128, 2),
    num_classes=10,
    frame_size=48,  # as in the literature
    prepared_name="dvs_cifar10",
    version="1.0.0",
    counts={"train": 9000, "test": 1000},
    test="test",
    mean=COUNTS_MEAN,
    std=COUNTS_STD,
    originals=(
        Original("airplane.zip", "0afd5c4bf9ae06af762a77b180354fdd", URL + "7712788"),
        Original("automobile.zip", "8438dfeba3bc970c94962d995b1b9bdd", URL + "7712791"),
        Original("bird.zip", "a9c207c91c55b9dc2002dc21c684d785", URL + "7712794"),
        Original("cat.zip", "52c63c677c2b15fa5146a8daf4d56687", URL + "7712812"),
        Original("deer.zip", "b6bf21f6c04d21ba4e23fc3e36c8a4a3", URL + "7712815"),
        Original("dog.zip", "f379ebdf6703d16e0a690782e62639c3", URL + "7712818"),
        Original("frog.zip", "cad6ed91214b1c7388a5f6ee56d08803", URL + "7712842"),
        Original("horse.zip", "e7cbbf77bec584ffbf913f00e682782a", URL + "7712851"),
        Original("ship.zip", "41c7bd7d6b251be82557c6cce9a7d5c9", URL + "7712836"),
        Original("truck.zip", "89f3922fd147d9aeff89e76a2b0b70a7", URL + "7712839"),
    ),
    note="or unpacked folders with one folder a class, of .aedat or .mat files",
    reader=read,
)
