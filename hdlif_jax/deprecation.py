"""What is going to leave the package says so first: what to use instead, and from which version on it is gone."""

import functools
import re
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

VERSION = re.compile(r"\d+\.\d+\.\d+")


def deprecated(*, use: str, removed_in: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function warn with DeprecationWarning, in the name of the line that calls it.

    Args:
      use: what to write instead, such as "learning.random_step()".
      removed_in: version from which on it is gone, such as "0.4.0".

    Raises:
      ValueError: `removed_in` is no version.
    """
    _check_version(removed_in)

    def of(function: Callable[P, R]) -> Callable[P, R]:
        message = f"{function.__qualname__} is deprecated and goes with version {removed_in}; use {use}"

        @functools.wraps(function)
        def warning(*args: P.args, **kwargs: P.kwargs) -> R:
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warning

    return of


def renamed_arguments(*, removed_in: str, **new_names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Makes a function take arguments by their old names, too, with a DeprecationWarning.

    The function itself has the new names alone: `@renamed_arguments(removed_in="0.4.0", width="widths")`.

    Args:
      removed_in: version from which on the old names are gone.
      **new_names: the new name of each old one.

    Raises:
      ValueError: `removed_in` is no version.
      TypeError: when the function is called, an argument by both names.
    """
    _check_version(removed_in)

    def of(function: Callable[..., R]) -> Callable[..., R]:
        name = function.__qualname__

        @functools.wraps(function)
        def renaming(*args: Any, **kwargs: Any) -> R:
            for old in new_names.keys() & kwargs.keys():
                new = new_names[old]
                if new in kwargs:
                    raise TypeError(f"{name} got {new} and {old}, which is its old name; give {new} alone")
                message = f"{old} of {name} is deprecated and goes with version {removed_in}; write {new}"
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renaming

    return of


def _check_version(version: str) -> None:
    if not VERSION.fullmatch(version):
        raise ValueError(f"removed_in={version!r} is no version; give one such as '0.4.0'")
