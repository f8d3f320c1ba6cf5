"""DVS-CIFAR10: images of CIFAR-10 in front of an event camera of 128×128 pixels."""

import functools
import pathlib
import re
from collections.abc import Iterator

from hdlif_jax.data.datasets.reading import CIFAR10_NAMES, COUNTS_MEAN, COUNTS_STD
from hdlif_jax.data.errors import damaged
from hdlif_jax.data.formats import dvs128
from hdlif_jax.data.formats.archives import Member, walk
from hdlif_jax.data.originals import CheckFile, Example, Examples, Original, PreparedEntry, Unread
from hdlif_jax.data.recordings import Recording

URL = "https://ndownloader.figshare.com/files/"
TEST_RECORDINGS = 100  # per class: 0…99 are the test set, as in the literature since TEBN (2022)


def read_originals(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads recordings of AEDAT or MATLAB, one after the other; a file's name or folder says its class.

    Raises:
      DataError: on the pass, where a recording is damaged or of no class.
    """
    del entry, check  # the archives have digests, the files inside have none

    def read(member: Member, suffix: str, class_name: str) -> Example:
        label, name = CIFAR10_NAMES.index(class_name), f"{class_name}/{member.base_name}"
        return {"events": _recording(member, suffix), "id": name, "label": label}

    def begin(wanted: str) -> Iterator[Unread]:
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
                yield Unread(member.where, functools.partial(read, member, match[3], class_name))

    return Examples({"label": CIFAR10_NAMES}, {split: functools.partial(begin, split) for split in ("train", "test")})


def _recording(member: Member, suffix: str) -> Recording:
    """A recording: read piece by piece, where it is a file of its own."""
    if suffix == "mat":
        return dvs128.parse_mat(member.read(), member.where)
    return dvs128.parse_aedat(member.read(), member.where) if member.path is None else dvs128.open_aedat(member.path)


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
    reader=read_originals,
)
