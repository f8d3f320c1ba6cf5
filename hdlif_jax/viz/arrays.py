"""What is drawn, checked: arrays of numbers of the right axes, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def numbers(name: str, value: ArrayLike, axes: str, *, ndim: int | tuple[int, ...]) -> Numbers:
    """An array of floats.

    Args:
      name: of the argument, for messages.
      value: what was given; anything of numbers or truth values that numpy makes an array of.
      axes: what its axes should be, for messages, such as "[T, N]: time-steps, neurons".
      ndim: how many axes it may have.

    Raises:
      ValueError: no numbers, another number of axes, or nothing in it.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths
        raise ValueError(f"{name} is no array; give {axes}") from None
    if array.dtype.kind == "V":  # bfloat16 and others that numpy has no letter for
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {_kind(array)}; give numbers {axes}")
    if array.ndim not in ((ndim,) if isinstance(ndim, int) else ndim) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give {axes}")
    return array.astype(np.float64)


def by_name(
    name: str, values: Any, axes: str, *, ndim: int | tuple[int, ...], last: int | None = None
) -> dict[str, Numbers]:
    """Arrays by the names of what they are of.

    Args:
      name: of the argument, for messages.
      values: a mapping.
      axes: as of `numbers`.
      ndim: as of `numbers`.
      last: how long the last axis must be; None leaves it open.

    Raises:
      ValueError: no mapping, an empty one, or arrays that are none of these.
    """
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"{name} is {_kind(values)}; give a dict of {axes} by name, with at least one entry")
    found = {str(key): numbers(f"{name}[{key!r}]", value, axes, ndim=ndim) for key, value in values.items()}
    for key, array in found.items():
        if last is not None and array.shape[-1] != last:
            raise ValueError(f"{name}[{key!r}] has shape {array.shape}; its last axis must have {last}, one for each x")
    return found


def shares(name: str, values: Numbers) -> None:
    """Checks that all values, but for NaN, are in [0, 1], up to rounding.

    Raises:
      ValueError: some are not.
    """
    if np.any((values < 0) | (values > 1 + 1e-6)):
        raise ValueError(f"{name} reach from {np.nanmin(values):g} to {np.nanmax(values):g}; give shares in [0, 1]")


def same_names(name: str, values: Mapping[str, Any], expected: Mapping[str, Any] | Sequence[str], what: str) -> None:
    """Checks that there is a value for each name.

    Raises:
      ValueError: names are missing or too many.
    """
    if set(values) != set(expected):
        raise ValueError(f"{name} is of {', '.join(values)}; give one for each of {', '.join(expected)}, as {what} has")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    if isinstance(value, Mapping):
        return "an empty dict"
    return f"a {type(value).__name__}"
