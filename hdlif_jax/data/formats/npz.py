"""Arrays in a .npz file, checked before they are read: nothing is unpickled, and no false size allocates anything."""

import math
import pathlib
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.formats.archives import UNREADABLE

SUFFIX = ".npy"  # of each array's file in the archive


def names_in(path: pathlib.Path) -> tuple[str, ...]:
    """The names of the arrays in a file.

    Raises:
      DataError: it does not exist, or is no .npz file.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; expected one that numpy.savez wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX))
    except UNREADABLE as error:
        raise damaged(path, 0, f"is not a readable .npz file ({error}); expected one that numpy.savez wrote") from error


def read_npz(path: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of these names.

    Raises:
      DataError: the file is no .npz file, has no such array, one of Python objects, or a damaged one.
    """
    found = names_in(path)
    for name in names:
        if name not in found:
            raise DataError(f"{path} has no array {name!r}, only {', '.join(found) or 'nothing'}")
    with zipfile.ZipFile(path) as archive:
        return {name: _read(archive, path, name) for name in names}


def _read(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> np.ndarray:
    where = f"{path}, array {name}"
    info = archive.getinfo(name + SUFFIX)
    try:
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            read_header: Callable[..., tuple[tuple[int, ...], bool, np.dtype]] = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            begins = file.tell()
        if dtype.hasobject:
            raise DataError(
                f"{where} holds Python objects, which are not read; make it one array of numbers: all examples of one "
                "shape and type (np.stack)"
            )
        expected = math.prod(shape) * dtype.itemsize
        if info.file_size - begins != expected:
            raise damaged(where, begins, f"has {info.file_size - begins} bytes of numbers and says {expected}")
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except DataError:
        raise
    except (*UNREADABLE, ValueError) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise damaged(where, 0, f"cannot be read ({problem}); write the file anew with numpy.savez") from error
