"""How data shows itself, in words; `hdlif_jax.show` has the tables."""

from collections.abc import Sequence
from typing import Any


def described(array: Any) -> str:
    """An array by type and shape; anything else as it prints."""
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        return repr(array)
    return f"{array.dtype} {list(array.shape)}"


def shape_text(shape: Sequence[int]) -> str:
    """`[H, W, C]` as H×W×C, with the number of frames before it where there are frames."""
    frames = f"{shape[0]} frames of " if len(shape) == 4 else ""
    return frames + "×".join(str(side) for side in shape[-3:])


def names_text(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many there are."""
    shown = ", ".join(map(str, names[:most]))
    return f"{len(names)}: {shown}" + (", …" if len(names) > most else "")
