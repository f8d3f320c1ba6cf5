"""The errors of unusable data files."""

import pathlib


class DataError(ValueError):
    """A file that is missing, damaged, or not what it should be."""


class DamagedError(DataError):
    """What is in one file cannot be used; the files beside it may be whole."""


def damaged(where: pathlib.Path | str, offset: int, problem: str) -> DamagedError:
    """An error that names the file, the byte and the problem, with what was expected."""
    return DamagedError(f"{where}, byte {offset}: {problem}")
