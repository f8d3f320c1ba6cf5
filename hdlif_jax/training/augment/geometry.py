"""Augmentations that move pixels. Each image of a batch gets its own draw; the function of fixed draws comes first.

Images are `[B, H, W, C]`; for event frames C holds all time-steps, so that a recording moves as one.
"""

import jax
import jax.numpy as jnp
import numpy as np

ONE = 1 << 16  # of the fixed-point coordinates in `affine`


def crop_at(images: jax.Array, corners: jax.Array, padding: int) -> jax.Array:
    """Pads with zeros and cuts out images of the old size.

    Args:
      images: `[B, H, W, C]`.
      corners: `[B, 2]` int32, top and left in the padded image, 0…2·padding.
      padding: ≥ 0, in pixels.
    """
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], jnp.int32(0)), (height, width, channels))

    cropped: jax.Array = jax.vmap(crop)(padded, corners)
    return cropped


def random_crop(key: jax.Array, images: jax.Array, padding: int) -> jax.Array:
    """Shifts each image by up to `padding` pixels and fills with zeros: torchvision's `RandomCrop(H, padding)`.

    Args:
      key: draws the shifts, uniformly and independently per image and axis.
      images: `[B, H, W, C]`.
      padding: ≥ 0, in pixels.

    Returns:
      `[B, H, W, C]`.
    """
    return crop_at(images, jax.random.randint(key, (len(images), 2), 0, 2 * padding + 1, jnp.int32), padding)


def flip_where(images: jax.Array, chosen: jax.Array) -> jax.Array:
    """Mirrors left and right where `chosen` `[B]` is True."""
    return jnp.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def random_horizontal_flip(key: jax.Array, images: jax.Array, probability: float = 0.5) -> jax.Array:
    """Mirrors each image with a probability: torchvision's `RandomHorizontalFlip`."""
    return flip_where(images, jax.random.bernoulli(key, jnp.float32(probability), (len(images),)))


def roll_by(images: jax.Array, shifts: jax.Array) -> jax.Array:
    """Rolls down and right by `shifts` `[B, 2]` int32 pixels; what leaves at one side comes in at the other."""
    return jax.vmap(lambda image, shift: jnp.roll(image, (shift[0], shift[1]), (0, 1)))(images, shifts)


def random_roll(key: jax.Array, images: jax.Array, max_shift: int) -> jax.Array:
    """Rolls each image by −max_shift…max_shift pixels, uniformly and independently per axis."""
    return roll_by(images, jax.random.randint(key, (len(images), 2), -max_shift, max_shift + 1, jnp.int32))


def cutout_at(images: jax.Array, centers: jax.Array, length: int) -> jax.Array:
    """Sets a square around a centre to zero; at the border it is cut.

    Args:
      images: `[B, H, W, C]`.
      centers: `[B, 2]` int32, row and column; the square covers rows c − ⌊length/2⌋ … c + ⌊length/2⌋ − 1.
      length: of its side, in pixels.
    """
    rows, columns = (
        jnp.arange(images.shape[1], dtype=jnp.int32)[None, :],
        jnp.arange(images.shape[2], dtype=jnp.int32)[None, :],
    )
    half = length // 2

    def near(positions: jax.Array, center: jax.Array) -> jax.Array:
        return (positions >= center[:, None] - half) & (positions < center[:, None] + half)

    hole = near(rows, centers[:, 0])[:, :, None] & near(columns, centers[:, 1])[:, None, :]
    return jnp.where(hole[..., None], jnp.zeros((), images.dtype), images)


def cutout(key: jax.Array, images: jax.Array, length: int) -> jax.Array:
    """Cutout (DeVries and Taylor 2017): a hole of zeros whose centre is uniform over each image."""
    return cutout_at(images, _uniform_pixels(key, images), length)


def affine(images: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Affine map with the nearest pixel, zeros outside, in the fixed-point arithmetic of PIL's `Image.transform`.

    Args:
      images: `[B, H, W, C]`.
      coefficients: `[B, 6]` int32 from `fixed_point`: output (x, y) reads input ((a·x + b·y + c) >> 16, …).

    Returns:
      `[B, H, W, C]`.
    """
    _, height, width, channels = images.shape
    x, y = jnp.arange(width, dtype=jnp.int32)[None, None, :], jnp.arange(height, dtype=jnp.int32)[None, :, None]
    a, b, c, d, e, f = (coefficients[:, index, None, None] for index in range(6))
    column, row = (a * x + b * y + c) >> 16, (d * x + e * y + f) >> 16
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = jnp.where(inside, row * width + column, 0).reshape(len(images), height * width)
    flat = images.reshape(len(images), height * width, channels)
    moved = jnp.take_along_axis(flat, index[:, :, None], axis=1).reshape(images.shape)
    return jnp.where(inside[..., None], moved, jnp.zeros((), images.dtype))


def fixed_point(matrix: np.ndarray) -> np.ndarray:
    """PIL's rounding of the inverse maps `[..., 6]`, which take pixel centres to pixel centres, to int32."""
    matrix = np.asarray(matrix, np.float64)
    a, b, c, d, e, f = np.moveaxis(matrix, -1, 0)
    shifted = np.stack([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2], -1)
    return np.floor(shifted * ONE + 0.5).astype(np.int32)


def rotation(angles: jax.Array, height: int, width: int) -> jax.Array:
    """Coefficients `[B, 6]` of counter-clockwise rotations around the centre by `[B]` angles in degrees."""
    cosine, sine = (jnp.round(f(jnp.deg2rad(angles)) * ONE).astype(jnp.int32) for f in (jnp.cos, jnp.sin))
    # The map of the centre of the first pixel, relative to the image's centre; halves are exact in fixed point.
    left, top = 1 - width, 1 - height
    first_x = (cosine * left - sine * top) // 2 + width * ONE // 2
    first_y = (sine * left + cosine * top) // 2 + height * ONE // 2
    return jnp.stack([cosine, -sine, first_x, sine, cosine, first_y], -1)


def random_rotation(key: jax.Array, images: jax.Array, max_degrees: float) -> jax.Array:
    """Rotates each image by an angle in ±max_degrees: torchvision's `RandomRotation`, nearest pixel."""
    angles = jax.random.uniform(key, (len(images),), jnp.float32, minval=-max_degrees, maxval=max_degrees)
    return affine(images, rotation(angles, *images.shape[1:3]))


def _uniform_pixels(key: jax.Array, images: jax.Array) -> jax.Array:
    """`[B, 2]` a row and a column of each image."""
    row_key, column_key = jax.random.split(key)
    rows = jax.random.randint(row_key, (len(images),), 0, images.shape[1], jnp.int32)
    columns = jax.random.randint(column_key, (len(images),), 0, images.shape[2], jnp.int32)
    return jnp.stack([rows, columns], -1)
