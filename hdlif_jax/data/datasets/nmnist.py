"""N-MNIST: the digits of MNIST in front of a moving event camera of 34×34 pixels."""

import functools
import pathlib
from collections.abc import Iterator

from hdlif_jax.data.datasets.reading import COUNTS_MEAN, COUNTS_STD, DIGIT_NAMES
from hdlif_jax.data.errors import damaged
from hdlif_jax.data.formats.archives import Member, walk
from hdlif_jax.data.formats.nmnist import parse_nmnist
from hdlif_jax.data.originals import CheckFile, Example, Examples, Original, PreparedEntry, Unread

URL = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads the recordings Train/<digit>/<number>.bin and Test/<digit>/<number>.bin, one after the other.

    Raises:
      DataError: on the pass, where a recording is damaged or in no folder of a digit.
    """
    del entry, check  # the archives have digests, the files inside have none

    def begin(part: str) -> Iterator[Unread]:
        for member in walk(source):
            if not member.name.endswith(".bin") or part not in member.folders:
                continue
            digit = member.folders[-1]
            if digit not in DIGIT_NAMES:
                raise damaged(member.where, 0, f"lies in folder {digit!r}; expected {part}/<digit>/<number>.bin")

            def example(member: Member = member, digit: str = digit) -> Example:
                recording = parse_nmnist(member.read(), member.where)
                return {"events": recording, "id": f"{part}/{member.base_name}", "label": int(digit)}

            yield Unread(member.where, example)

    splits = {"train": functools.partial(begin, "Train"), "test": functools.partial(begin, "Test")}
    return Examples({"label": DIGIT_NAMES}, splits)


ENTRY = PreparedEntry(
    name="nmnist",
    title="N-MNIST",
    kind="events",
    shape=(34, 34, 2),
    num_classes=10,
    prepared_name="nmnist",
    version="1.0.0",
    counts={"train": 60000, "test": 10000},
    test="test",
    mean=COUNTS_MEAN,
    std=COUNTS_STD,
    originals=(
        Original(
            "Train.zip",
            "20959b8e626244a1b502305a9e6e2031",
            URL + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
        ),
        Original(
            "Test.zip",
            "69ca8762b2fe404d9b9bad1103e97832",
            URL + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
        ),
    ),
    note="or the unpacked folders Train and Test",
    reader=read,
)
