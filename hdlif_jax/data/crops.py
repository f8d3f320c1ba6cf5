"""Crops that change the size of an image, made where it is decoded; named and drawn as torchvision does."""

import math

import numpy as np

from hdlif_jax.data.extras import needed

SCALE = (0.08, 1.0)  # of the area
RATIO = (3 / 4, 4 / 3)  # width to height
RESIZE_MARGIN = 256 / 224  # evaluation: the shorter side becomes 8/7 of the crop, as is usual for ImageNet


def random_resized_crop_box(
    height: int,
    width: int,
    generator: np.random.Generator,
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
) -> tuple[int, int, int, int]:
    """Draws a box of random area and shape; after ten boxes that do not fit, the largest central one.

    Args:
      height: of the image.
      width: of the image.
      generator: source of randomness.
      scale: bounds of the box's share of the area, drawn uniformly.
      ratio: bounds of its width/height, drawn log-uniformly.

    Returns:
      (top, left, height, width).
    """
    area = height * width
    for _ in range(10):
        target = area * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        box_width, box_height = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(generator.integers(0, height - box_height + 1))
            left = int(generator.integers(0, width - box_width + 1))
            return top, left, box_height, box_width
    if width / height < ratio[0]:
        box_width, box_height = width, min(height, round(width / ratio[0]))
    elif width / height > ratio[1]:
        box_width, box_height = min(width, round(height * ratio[1])), height
    else:
        box_width, box_height = width, height
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def resized_crop(image: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Cuts (top, left, height, width) out of `[H, W, C]` and resizes it, bilinear, to `[size, size, C]`."""
    top, left, height, width = box
    return _resized(image[top : top + height, left : left + width], size, size)


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes the shorter side of `[H, W, C]` to 8/7 of `size`, bilinear, and cuts out the centre `[size, size, C]`."""
    height, width = image.shape[:2]
    shorter = round(size * RESIZE_MARGIN)
    if height <= width:
        new_height, new_width = shorter, int(shorter * width / height)
    else:
        new_height, new_width = int(shorter * height / width), shorter
    resized = _resized(image, new_height, new_width)
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    return resized[top : top + size, left : left + size]


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    pillow, channels = needed("PIL.Image"), image.shape[-1]
    picture = pillow.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(picture.resize((width, height), pillow.Resampling.BILINEAR)).reshape(height, width, channels)
