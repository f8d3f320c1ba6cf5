"""Image files."""

import io

import numpy as np

from hdlif_jax.data.errors import damaged
from hdlif_jax.data.extras import needed


def decode_image(content: bytes, where: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decodes an image file.

    Args:
      content: PNG or JPEG.
      where: its name, for messages.
      size: (H, W) that it must have.

    Returns:
      `[H, W, 3]` uint8.

    Raises:
      DataError: it does not decode or has another size.
    """
    pillow = needed("PIL.Image")
    try:
        with pillow.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # every decoder raises its own
        raise damaged(where, 0, f"does not decode as an image ({error})") from error
    if size is not None and pixels.shape[:2] != size:
        raise damaged(where, 0, f"is {pixels.shape[1]}×{pixels.shape[0]} pixels; expected {size[1]}×{size[0]}")
    return pixels
