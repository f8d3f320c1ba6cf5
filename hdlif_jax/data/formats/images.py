"""Image files to pixels: one rule for training, preparation and deployed networks."""

import io

import numpy as np

from hdlif_jax.data.errors import damaged
from hdlif_jax.data.extras import needed

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")  # what a walk takes for a picture
PAPER = (255, 255, 255)  # what shows through where a picture is transparent


def decode_image(content: bytes, where: str, size: tuple[int, int] | None = None, channels: int = 3) -> np.ndarray:
    """Decodes an image file to what a viewer shows of it.

    It is turned as its EXIF orientation says, what is transparent lies on white, and of several pictures in a file the
    first one counts. Colours become grey by their luma (ITU-R 601). More than 8 bits a channel are refused.

    Args:
      content: of a PNG, JPEG or any other file that Pillow reads.
      where: its name, for messages.
      size: (H, W) that it must have, upright.
      channels: 3 for RGB, 1 for grey.

    Returns:
      `[H, W, channels]` uint8.

    Raises:
      DamagedError: it does not decode, has another size, or more than 8 bits a channel.
      ValueError: another number of channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels={channels} must be 1 (grey) or 3 (RGB): pictures have no others")
    pillow, operations = needed("PIL.Image"), needed("PIL.ImageOps")
    try:
        with pillow.open(io.BytesIO(content)) as image:
            # Pillow would cut what is above 255, or in colours leave out the lower bits.
            is_deep = image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in image.tile)
            if not is_deep:
                operations.exif_transpose(image, in_place=True)
                if image.has_transparency_data:
                    paper = pillow.new("RGBA", image.size, (*PAPER, 255))
                    shown = pillow.alpha_composite(paper, image.convert("RGBA"))
                else:
                    shown = image
                pixels = np.asarray(shown.convert("L" if channels == 1 else "RGB"))
    except pillow.UnidentifiedImageError as error:  # whose message is about an object in memory
        raise damaged(where, 0, "does not decode as an image (of no format that Pillow knows)") from error
    except Exception as error:  # every decoder raises its own
        raise damaged(where, 0, f"does not decode as an image ({_first_line(error)})") from error
    if is_deep:
        raise damaged(where, 0, "has more than 8 bits a channel; convert it to 8 first")
    if size is not None and pixels.shape[:2] != size:
        raise damaged(where, 0, f"is {pixels.shape[1]}×{pixels.shape[0]} pixels; expected {size[1]}×{size[0]}")
    return pixels.reshape(*pixels.shape[:2], channels)


def resize_image(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scales `[H, W, C]` uint8 to another (height, width), bicubic; the proportions change with those of the size."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    channels = pixels.shape[-1]
    picture = needed("PIL.Image").fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(picture.resize((width, height))).reshape(height, width, channels)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
