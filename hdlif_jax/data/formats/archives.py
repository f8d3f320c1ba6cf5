"""Walks over files as their authors distribute them, in folders, tars and zips; nothing is unpacked.

What belongs to a system, see `is_hidden`, is met on no walk.
"""

import functools
import gzip
import io
import lzma
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.formats.hidden import is_hidden

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError, NotImplementedError)


class Member(NamedTuple):
    """A file met on a walk.

    Attributes:
      name: its path inside, with slashes.
      where: the same for messages: with the archive that it is in.
      read: gives its content; to be called before the walk goes on.
      path: the file itself, where it is one and not part of an archive.
    """

    name: str
    where: str
    read: Callable[[], bytes]
    path: pathlib.Path | None

    @property
    def base_name(self) -> str:
        """The last part of its name."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def folders(self) -> tuple[str, ...]:
        """The parts of its name before the last one."""
        return tuple(self.name.split("/")[:-1])


def walk(source: pathlib.Path) -> Iterator[Member]:
    """All files of a folder, in the order of their names, and of the archives in it, in the archives' order.

    Args:
      source: a folder, an archive, or a single file.

    Raises:
      DataError: it does not exist, or holds a damaged archive or one with a path that leads out of it.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist; give the folder or archive with the original files")
    if source.is_file():
        yield from _file(source, source.name)
        return
    for path in files_in(source):
        yield from _file(path, path.relative_to(source).as_posix())


def files_in(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The files of a folder at any depth, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if not is_hidden(path.relative_to(folder).as_posix()) and path.is_file():
            yield path


def folders_in(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folders directly in a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if not is_hidden(path.name) and path.is_dir():
            yield path


def is_archive(name: str) -> bool:
    """Whether a walk looks inside a file of this name."""
    return name.lower().endswith(ARCHIVES)


def _file(path: pathlib.Path, name: str) -> Iterator[Member]:
    if not is_archive(path.name):
        yield Member(name, str(path), path.read_bytes, path)
    elif path.name.lower().endswith(".zip"):
        yield from _zip(path)
    else:
        with _open_tar(str(path), path) as archive:
            yield from _tar(archive, str(path), "")


def _open_tar(where: str, path: pathlib.Path | None = None, file: IO[bytes] | None = None) -> tarfile.TarFile:
    try:
        return tarfile.open(path, fileobj=file)
    except UNREADABLE as error:
        raise damaged(where, 0, f"is not a readable tar archive ({_first_line(error)})") from error


def _tar(archive: tarfile.TarFile, where: str, prefix: str) -> Iterator[Member]:
    end = 0
    while True:
        try:
            info = archive.next()
        except UNREADABLE as error:
            raise damaged(where, end, f"the archive is cut short or damaged ({_first_line(error)})") from error
        if info is None:
            break
        _check_name(info.name, where, info.offset)
        end = info.offset_data + info.size
        if info.isdir() or is_hidden(info.name):
            archive.members = []  # type: ignore[attr-defined]
            continue
        inside = f"{where}, member {info.name}"
        if not info.isfile():
            raise damaged(where, info.offset, f"member {info.name} is a link or device; expected ordinary files only")

        def content(info: tarfile.TarInfo = info, inside: str = inside) -> bytes:
            return _read(lambda: archive.extractfile(info), info.size, inside, info.offset_data)

        if info.name.lower().endswith(".tar"):
            # ImageNet: a tar of one tar per class. The inner ones have no folder, so their name becomes one.
            with _open_tar(inside, file=archive.extractfile(info)) as inner:
                yield from _tar(inner, inside, prefix + info.name.removesuffix(".tar") + "/")
        else:
            yield Member(prefix + info.name, inside, content, None)
        # A list of all members of ImageNet is not worth its memory.
        archive.members = []  # type: ignore[attr-defined]
    # The format ends with a block of zeros. tarfile also stops, silently, at the file's end and at a broken header.
    file = archive.fileobj
    assert file is not None
    try:
        file.seek(archive.offset)
        last_block = file.read(tarfile.BLOCKSIZE)
    except UNREADABLE as error:
        raise damaged(where, end, f"the archive is cut short or damaged ({_first_line(error)})") from error
    if last_block != bytes(tarfile.BLOCKSIZE):
        problem = "the header of a member is damaged" if last_block else "the archive has no end mark: it is cut short"
        raise damaged(where, archive.offset, f"{problem}; get the file again")


def _zip(path: pathlib.Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise damaged(path, 0, f"is not a readable zip archive ({_first_line(error)})") from error
    with archive:
        for info in archive.infolist():
            _check_name(info.filename, str(path), info.header_offset)
            if info.is_dir() or is_hidden(info.filename):
                continue
            inside = f"{path}, member {info.filename}"

            def content(info: zipfile.ZipInfo = info, inside: str = inside) -> bytes:
                return _read(lambda: archive.open(info), info.file_size, inside, info.header_offset)

            yield Member(info.filename, inside, content, None)


def _read(open_member: Callable[[], IO[bytes] | None], size: int, where: str, offset: int) -> bytes:
    try:
        with open_member() or io.BytesIO() as file:
            content = file.read()
    except UNREADABLE as error:
        raise damaged(
            where, offset, f"cannot be read ({_first_line(error)}); the archive is cut short or damaged"
        ) from error
    if len(content) != size:
        raise damaged(where, offset + len(content), f"{len(content)} bytes of {size}; the archive is cut short")
    return content


def _check_name(name: str, where: str, offset: int) -> None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise damaged(where, offset, f"member {name!r} leads out of the archive; this is not an original file")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def gunzip(content: bytes, where: str) -> bytes:
    """The content of a gzip file.

    Raises:
      DataError: damaged.
    """
    try:
        return gzip.decompress(content)
    except UNREADABLE as error:
        raise damaged(where, 0, f"is not a readable gzip file ({_first_line(error)})") from error


def pick(source: pathlib.Path, names: set[str]) -> dict[str, Member]:
    """Reads the files of these base names wherever they are; of two with the same name the first.

    Args:
      source: as in `walk`.
      names: base names.

    Returns:
      By base name; `read` may be called at any time.
    """
    found: dict[str, Member] = {}
    for member in walk(source):
        if member.base_name in names and member.base_name not in found:
            content = member.read()
            found[member.base_name] = member._replace(read=functools.partial(bytes, content))
    return found
