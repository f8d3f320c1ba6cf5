"""Augmentations of brightness and colour, level for level as PIL computes them on uint8 images `[B, H, W, C]`.

They are of two kinds. A *blend* moves an image towards or away from a degenerate version of itself (PIL's
`ImageEnhance`). A *lookup table* replaces each level by another, and may be made from each image's own histogram.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

LEVELS = 256
SMOOTHING = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]])  # PIL's ImageFilter.SMOOTH, divided by its sum 13

Degenerate = Literal["black", "gray-mean", "gray", "smooth"]  # of brightness, contrast, colour and sharpness


def gray(images: jax.Array) -> jax.Array:
    """PIL's luma `[B, H, W, 1]` int32: (19595 R + 38470 G + 7471 B + 2¹⁵) >> 16; one channel is its own."""
    values = images.astype(jnp.int32)
    if images.shape[-1] == 1:
        return values
    red, green, blue = (values[..., channel, None] for channel in range(3))
    return (red * 19595 + green * 38470 + blue * 7471 + (1 << 15)) >> 16


def gray_mean(images: jax.Array) -> jax.Array:
    """The rounded mean of `gray` over each image, `[B, 1, 1, 1]` int32."""
    luma = gray(images)
    pixels = luma.shape[1] * luma.shape[2]
    return (2 * jnp.sum(luma, (1, 2, 3), keepdims=True) + pixels) // (2 * pixels)


def smooth(images: jax.Array) -> jax.Array:
    """The image through a 3×3 filter, int32; the outermost pixels stay."""
    values = images.astype(jnp.int32)
    _, height, width, _ = images.shape
    total = jnp.zeros_like(values[:, 1:-1, 1:-1])
    for row in range(3):
        for column in range(3):
            weight = int(SMOOTHING[row, column])
            total += weight * values[:, row : height - 2 + row, column : width - 2 + column]
    return values.at[:, 1:-1, 1:-1].set((2 * total + 13) // 26)  # rounded; 13 is odd, so there are no ties


def blend_products(factor: float) -> np.ndarray:
    """factor·d in single precision for every difference d = −255…255 of two levels, `[511]`.

    PIL adds this product to a level and cuts off the fraction, so a product that is fused with its addition would give
    another level now and then. A table cannot be fused.
    """
    return np.float32(factor) * np.arange(1 - LEVELS, LEVELS, dtype=np.float32)


def blend(images: jax.Array, degenerate: jax.Array, products: jax.Array) -> jax.Array:
    """Degenerate + factor·(image − degenerate), cut off to 0…255.

    Args:
      images: `[B, H, W, C]` uint8.
      degenerate: int32 that broadcasts to it.
      products: `[B, 511]` of `blend_products`.
    """
    difference = images.astype(jnp.int32) - degenerate + (LEVELS - 1)
    flat = difference.reshape(len(images), -1)
    moved = jnp.take_along_axis(products, flat, axis=1).reshape(images.shape)
    return jnp.clip(degenerate.astype(jnp.float32) + moved, 0, LEVELS - 1).astype(jnp.uint8)


def look_up(images: jax.Array, tables: jax.Array) -> jax.Array:
    """Replaces each level by its entry in `[B, C, 256]` uint8 tables."""
    batch, height, width, channels = images.shape
    flat = images.reshape(batch, height * width, channels).swapaxes(1, 2).astype(jnp.int32)
    return jnp.take_along_axis(tables, flat, axis=2).swapaxes(1, 2).reshape(images.shape)


def posterize_table(bits: int) -> np.ndarray:
    """Keeps the highest bits, `[256]` uint8."""
    return (np.arange(LEVELS) & ~((1 << (8 - bits)) - 1)).astype(np.uint8)


def solarize_table(threshold: float) -> np.ndarray:
    """Inverts levels from the threshold on, `[256]` uint8."""
    levels = np.arange(LEVELS)
    return np.where(levels < threshold, levels, LEVELS - 1 - levels).astype(np.uint8)


def autocontrast_tables(images: jax.Array) -> jax.Array:
    """Spreads each channel over 0…255: ⌊255·(v − low)/(high − low)⌋, `[B, C, 256]` uint8.

    PIL computes this in double precision, which at 0.4 % of all (low, high, v) gives one level less than the exact
    quotient, a whole number there.
    """
    low, high = (f(images, (1, 2)).astype(jnp.int32)[..., None] for f in (jnp.min, jnp.max))
    levels = jnp.arange(LEVELS, dtype=jnp.int32)[None, None, :]
    spread = jnp.clip((levels - low) * (LEVELS - 1) // jnp.maximum(high - low, 1), 0, LEVELS - 1)
    return jnp.where(high > low, spread, levels).astype(jnp.uint8)


def equalize_tables(images: jax.Array) -> jax.Array:
    """Makes the histogram of each channel uniform, `[B, C, 256]` uint8."""
    batch, height, width, channels = images.shape
    flat = images.reshape(batch, height * width, channels).swapaxes(1, 2).reshape(batch * channels, -1)
    offsets = LEVELS * jnp.arange(batch * channels, dtype=jnp.int32)[:, None]
    counts = jnp.bincount((flat.astype(jnp.int32) + offsets).reshape(-1), length=batch * channels * LEVELS)
    histogram = counts.reshape(batch, channels, LEVELS)
    levels = jnp.arange(LEVELS, dtype=jnp.int32)[None, None, :]
    last = jnp.max(jnp.where(histogram > 0, levels, 0), -1, keepdims=True)
    step = (height * width - jnp.take_along_axis(histogram, last, axis=2)) // (LEVELS - 1)
    below = jnp.cumsum(histogram, -1) - histogram
    equal = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), LEVELS - 1)
    return jnp.where(step > 0, equal, levels).astype(jnp.uint8)
