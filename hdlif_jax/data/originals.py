"""Datasets as their authors distribute them, and what it takes to prepare one."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from hdlif_jax.data.entry import Entry
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats.archives import files_in


class Original(NamedTuple):
    """A file as its authors distribute it.

    Attributes:
      name: the file's name.
      md5: its known digest; None where none was published.
      url: where it can be fetched without logging in; None where it cannot.
    """

    name: str
    md5: str | None = None
    url: str | None = None


Example = dict[str, Any]


class Unread(NamedTuple):
    """An example that was met on a pass and is not read yet, so that one that is damaged can be left out.

    Attributes:
      where: the file, for messages.
      read: gives a dict: the labels, an `id`, and `image` (`[H, W, C]` uint8), `encoded` (an image file's bytes) or
        `events` (a `Recording`). To be called before the pass goes on. Raises DamagedError.
    """

    where: str
    read: Callable[[], Example]


class Examples(NamedTuple):
    """The examples of a dataset, as they were distributed.

    Attributes:
      class_names: by name of the label: {"label": ...}, and "coarse_label" for CIFAR-100.
      splits: for each split a function that begins a pass.
    """

    class_names: dict[str, tuple[str, ...]]
    splits: Mapping[str, Callable[[], Iterator[Unread]]]


class CheckFile(Protocol):
    """Looks at a file that may have a known digest."""

    def __call__(self, base_name: str, content: bytes, where: str, /) -> None:
        """Raises DataError where the digest of `content` is known and differs."""


class Reader(Protocol):
    """Reads the authors' files of an entry."""

    def __call__(self, entry: "PreparedEntry", source: pathlib.Path, check: CheckFile, /) -> Examples:
        """Arguments and errors as `PreparedEntry.open_originals`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedEntry(Entry):
    """A dataset that is prepared from the files that its authors distribute.

    Attributes:
      prepared_name: folder of its prepared form; the name of the builder of tensorflow-datasets, where it has one.
      version: version of the prepared form, as that builder's.
      counts: number of examples of each prepared split.
      test: the split that is looked at once; the other one is trained on.
      mean: mean of each channel, of inputs in [0, 1].
      std: standard deviation of each channel, of inputs in [0, 1].
      originals: the files to get.
      one_is_enough: whether each of `originals` is the whole dataset, in a layout of its own.
      note: what else there is to say about the originals.
      known: digests of files inside the archives, by base name.
      reader: reads the originals.
    """

    prepared_name: str
    version: str
    counts: dict[str, int]
    test: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    originals: tuple[Original, ...]
    reader: Reader
    one_is_enough: bool = False
    note: str = ""
    known: dict[str, str] = dataclasses.field(default_factory=dict)

    def what_to_get(self) -> str:
        """One line: which files, from where."""
        files = ", ".join(file.name + (f" ({file.url})" if file.url else "") for file in self.originals)
        enough = "; one of them is enough" if self.one_is_enough else ""
        return files + enough + (f"; {self.note}" if self.note else "")

    def open_originals(self, source: pathlib.Path, check: CheckFile) -> Examples:
        """The examples in the authors' files.

        Args:
          source: folder or archive.
          check: called with each file that may have a known digest.

        Raises:
          DataError: files are missing or damaged; damage further inside is met on the pass.
        """
        if source.is_dir() and not any(True for _ in files_in(source)):
            raise self.missing(source, "files")
        return self.reader(self, source, check)

    def missing(self, source: pathlib.Path, *names: str) -> DataError:
        """An error that says what `source` does not hold, and what this dataset is made from."""
        return DataError(f"{source} holds no {', '.join(names)}; {self.name} needs {self.what_to_get()}")
