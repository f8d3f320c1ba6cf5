"""IDX, the format of MNIST and of its successors: magic, sizes, bytes."""

import math

import numpy as np

from hdlif_jax.data.errors import damaged

UNSIGNED_BYTE = 8


def parse_idx(content: bytes, where: str, num_dims: int) -> np.ndarray:
    """An IDX file of unsigned bytes: 0, 0, type 8, number of dimensions, big-endian sizes, values.

    Args:
      content: the file's bytes, unzipped.
      where: its name, for messages.
      num_dims: expected number of dimensions: 3 for images, 1 for labels.

    Returns:
      `[N, H, W]` or `[N]`, uint8.

    Raises:
      DataError: wrong magic, or a length that the header does not announce.
    """
    magic = bytes([0, 0, UNSIGNED_BYTE, num_dims])
    if content[:4] != magic:
        raise damaged(
            where, 0, f"begins with {content[:4].hex()}; expected {magic.hex()}, IDX of {num_dims} dimensions"
        )
    start = 4 + 4 * num_dims
    if len(content) < start:
        raise damaged(where, len(content), f"the header is cut short: {len(content)} bytes of {start}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", num_dims, 4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        what = "is cut short" if len(content) < expected else "is too long"
        raise damaged(
            where, min(len(content), expected), f"the file {what}: {len(content)} bytes, {expected} for shape {shape}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
