"""Numbers of NIR nodes, which come from files and other frameworks' tensors, checked."""

from typing import Any

import numpy as np

from hdlif_jax.checks import shown


def numbers(field: str, value: Any) -> np.ndarray:
    """A field as float64.

    Args:
      field: its name.
      value: numpy's, a number, or another framework's tensor.

    Raises:
      ValueError: no numbers, none at all, or some that float32 does not hold.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" or not array.size:
        raise ValueError(f"its {field}, {shown(value)}, is no array of numbers")
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"its {field} has entries that float32 does not hold as finite numbers")
    return array.astype(np.float64)


def pair(field: str, value: Any) -> tuple[int, int]:
    """A field that is one integer for both directions of an image, or two, not negative.

    Raises:
      ValueError: anything else.
    """
    array = numbers(field, value)
    if array.size not in (1, 2) or (array != np.round(array)).any() or (array < 0).any():
        raise ValueError(f"its {field}, {shown(value)}, is no whole number and no pair of them")
    first, *others = (int(entry) for entry in array.reshape(-1))
    return first, (others or [first])[0]


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`(H, W, C)`, as here, to `(C, H, W)`, as in NIR; flat shapes as they are."""
    return (shape[-1], *shape[:-1])


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`(C, H, W)`, as in NIR, to `(H, W, C)`, as here; flat shapes as they are."""
    return (*shape[1:], shape[0])
