"""Augmentations by a random box of each image: it is erased, or cut out and enlarged. Fixed boxes come first.

Boxes are `[B, 4]` int32: top, left, height and width.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.data.crops import RATIO, SCALE

ERASED_AREA = 0.02, 0.4  # shares of the image, drawn uniformly
ERASED_ASPECT = 0.4, 2.5  # height to width, drawn uniformly
GREYS = 255  # 0…254
TRIES = 10  # boxes that are drawn before the largest central one is taken, as in torchvision
BITS = 22  # of the weights in PIL's resampling of 8-bit images


def erase_at(images: jax.Array, boxes: jax.Array, levels: jax.Array, chosen: jax.Array) -> jax.Array:
    """Sets a box of each chosen image to one level.

    Args:
      images: `[B, H, W, C]`.
      boxes: `[B, 4]`.
      levels: `[B]` of all channels.
      chosen: `[B]` bool.
    """
    top, left, height, width = (boxes[:, index, None] for index in range(4))
    rows, columns = (jnp.arange(size, dtype=jnp.int32)[None] for size in images.shape[1:3])
    inside = ((rows >= top) & (rows < top + height))[:, :, None] & ((columns >= left) & (columns < left + width))[
        :, None
    ]
    inside = inside & chosen[:, None, None]
    return jnp.where(inside[..., None], levels.astype(images.dtype)[:, None, None, None], images)


def random_erasing(key: jax.Array, images: jax.Array, probability: float = 0.5) -> jax.Array:
    """Random erasing (Zhong et al. 2020) as SLTT and OTTT use it: of 2 to 40 % of an image, to one random grey.

    Args:
      key: draws for each image whether, where, and the grey, 0…254.
      images: uint8 `[B, H, W, C]`.
      probability: of an image to be erased in a part.

    Raises:
      ValueError: images that are not uint8.
    """
    if images.dtype != jnp.uint8:
        raise ValueError(
            f"erasing draws a grey of uint8 levels and the images are {images.dtype}; give uint8 images, or leave "
            "erasing out, such as for cutout"
        )
    chosen_key, area_key, aspect_key, place_key, level_key = jax.random.split(key, 5)
    batch, height, width = images.shape[:3]
    uniform = functools.partial(jax.random.uniform, shape=(batch,), dtype=jnp.float32)
    area = height * width * uniform(area_key, minval=ERASED_AREA[0], maxval=ERASED_AREA[1])
    aspect = uniform(aspect_key, minval=ERASED_ASPECT[0], maxval=ERASED_ASPECT[1])
    sides = jnp.floor(jnp.sqrt(jnp.stack([area * aspect, area / aspect], -1))).astype(jnp.int32)
    sides = jnp.minimum(sides, jnp.asarray((height, width), jnp.int32)[None])
    boxes = _placed(place_key, sides, height, width)
    levels = jax.random.randint(level_key, (batch,), 0, GREYS, jnp.int32)
    return erase_at(images, boxes, levels, uniform(chosen_key) < probability)


def resized_crop_at(images: jax.Array, boxes: jax.Array) -> jax.Array:
    """Cuts a box out of each image and enlarges it to the size of the image, bilinear: level for level as PIL does.

    Args:
      images: `[B, H, W, C]`, uint8 or floats, of which there is no rounding.
      boxes: `[B, 4]`, inside of the image.
    """
    height, width = images.shape[1:3]
    of_rows, of_columns = _taps(height), _taps(width)

    def crop(image: jax.Array, box: jax.Array) -> jax.Array:
        top, left, box_height, box_width = box
        image = _blend(image, left, of_columns, box_width, 1)
        return _blend(image, top, of_rows, box_height, 0)

    cropped: jax.Array = jax.vmap(crop)(images, boxes)
    return cropped


def random_resized_crop(key: jax.Array, images: jax.Array) -> jax.Array:
    """A box of 8 to 100 % of each image, of a shape of 3:4 to 4:3, enlarged: torchvision's `RandomResizedCrop(H)`.

    Args:
      key: draws the boxes.
      images: `[B, H, W, C]`.
    """
    return resized_crop_at(images, crop_boxes(key, *images.shape[:3]))


def crop_boxes(key: jax.Array, batch_size: int, height: int, width: int) -> jax.Array:
    """Boxes `[B, 4]` of random area and shape; where none of ten fits, the largest central one."""
    area_key, aspect_key, place_key = jax.random.split(key, 3)
    uniform = functools.partial(jax.random.uniform, shape=(batch_size, TRIES), dtype=jnp.float32)
    area = height * width * uniform(area_key, minval=SCALE[0], maxval=SCALE[1])
    aspect = jnp.exp(uniform(aspect_key, minval=math.log(RATIO[0]), maxval=math.log(RATIO[1])))
    sides = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], -1))).astype(jnp.int32)
    fits = jnp.all((sides > 0) & (sides <= jnp.asarray((height, width), jnp.int32)[None, None]), -1)
    first = jnp.argmax(fits, 1)
    drawn = jnp.take_along_axis(sides, first[:, None, None], 1)[:, 0]
    central = min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))
    sides = jnp.where(fits.any(1)[:, None], drawn, jnp.asarray(central, jnp.int32)[None])
    middle = jnp.asarray([(height - central[0]) // 2, (width - central[1]) // 2, *central], jnp.int32)
    return jnp.where(fits.any(1)[:, None], _placed(place_key, sides, height, width), middle[None])


def _placed(key: jax.Array, sides: jax.Array, height: int, width: int) -> jax.Array:
    """Boxes `[B, 4]` of the sides `[B, 2]`, anywhere in the image."""
    room = jnp.asarray((height, width), jnp.int32)[None] - sides + 1
    return jnp.concatenate([jax.random.randint(key, sides.shape, 0, room, jnp.int32), sides], -1)


@functools.cache
def _taps(size: int) -> np.ndarray:
    """For each side 1…size of a box and each pixel of its image of `size`: two pixels of the box and their weights.

    `[size, size, 4]` int32, the weights in units of 2⁻²², rounded as in PIL's `Image.resize`.
    """
    side = np.arange(1, size + 1)[:, None]
    center = (np.arange(size)[None] + 0.5) * side / size  # of the output pixel, in the box
    first = np.maximum((center - 0.5).astype(int), 0)
    second = np.minimum(first + 1, side - 1)
    far = np.where(second > first, np.maximum(center - first - 0.5, 0), 0)  # at an edge one pixel counts alone
    fixed = (np.stack([1 - far, far], -1) * (1 << BITS) + 0.5).astype(int)
    return np.concatenate([np.stack([first, second], -1), fixed], -1).astype(np.int32)


def _blend(image: jax.Array, start: jax.Array, taps: np.ndarray, side: jax.Array, axis: int) -> jax.Array:
    """An image `[H, W, C]` along one axis: two pixels of a box of a side for each pixel."""
    pixels = jnp.asarray(taps)[side - 1]
    first, second = (jnp.take(image, start + pixels[:, index], axis) for index in (0, 1))
    weights = [pixels[:, index].reshape((-1, 1, 1) if axis == 0 else (1, -1, 1)) for index in (2, 3)]
    if image.dtype == jnp.uint8:
        near, far = first.astype(jnp.int32) * weights[0], second.astype(jnp.int32) * weights[1]
        return ((near + far + (1 << (BITS - 1))) >> BITS).astype(jnp.uint8)
    share = weights[1].astype(image.dtype) / (1 << BITS)
    return first * (1 - share) + second * share
