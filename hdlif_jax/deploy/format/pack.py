"""Integer kernels as bytes: 8 binary or 5 ternary weights in one."""

from typing import Literal

import numpy as np

from hdlif_jax import accounting
from hdlif_jax.deploy.format.errors import require

Packing = Literal["binary", "ternary", "float32"]
POWERS_OF_3 = 3 ** np.arange(5)
TRITS = (np.arange(243)[:, None] // POWERS_OF_3 % 3 - 1).astype(np.int8)  # of every byte, [243, 5]


def encoding_of(array: np.ndarray) -> Packing:
    """The smallest exact encoding: "binary" if all of an int8 array is ±1, else "ternary"; "float32" for floats."""
    if array.dtype == np.float32:
        return "float32"
    return "binary" if np.all(array != 0) else "ternary"


def packed_size(num_weights: int, encoding: Packing) -> int:
    """Bytes of so many weights."""
    return accounting.packed_bytes(num_weights, "float" if encoding == "float32" else encoding)


def pack(levels: np.ndarray, encoding: Packing) -> np.ndarray:
    """Packs levels −1, 0, 1 in C order; the last byte is filled up with the level −1.

    Args:
      levels: int8, any shape.
      encoding: "binary" (bit 1 is +1, first weight in the highest bit) or "ternary" (first weight times 3⁰).

    Returns:
      uint8, one axis.

    Raises:
      ValueError: levels that the encoding does not have.
    """
    allowed = (-1, 1) if encoding == "binary" else (-1, 0, 1)
    if not np.isin(levels, allowed).all():
        raise ValueError(f"levels must be {allowed} to be packed as {encoding}; quantise the kernel first")
    flat = levels.reshape(-1).astype(np.int64)
    if encoding == "binary":
        return np.packbits(flat > 0)
    padded = np.pad(flat, (0, -len(flat) % 5), constant_values=-1)
    return ((padded.reshape(-1, 5) + 1) @ POWERS_OF_3).astype(np.uint8)


def unpack(packed: np.ndarray, encoding: Packing, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `pack`, exactly.

    Args:
      packed: uint8, one axis.
      encoding: "binary" or "ternary".
      shape: of the levels.

    Returns:
      int8 of that shape.

    Raises:
      ArtifactError: bytes that `pack` does not make.
    """
    count = int(np.prod(shape))
    require(len(packed) == packed_size(count, encoding), f"{len(packed)} bytes cannot hold {count} {encoding} weights")
    if encoding == "binary":
        levels = np.unpackbits(packed).astype(np.int8) * np.int8(2) - np.int8(1)
    else:
        require(not np.any(packed >= 243), "a byte of ternary weights is above 242")
        levels = TRITS[packed].reshape(-1)
    require(bool(np.all(levels[count:] == -1)), f"the last byte of {encoding} weights is not filled up as it must be")
    return levels[:count].reshape(shape)
