"""The one error of unusable data files."""

import pathlib


class DataError(ValueError):
    """A file that is missing, damaged, or not what it should be."""


def damaged(where: pathlib.Path | str, offset: int, problem: str) -> DataError:
    """An error that names the file, the byte and the problem, with what was expected."""
    return DataError(f"{where}, byte {offset}: {problem}")
