"""Pooling as modules without parameters, so that a network is made of nothing but modules and sums."""

import jax
import jax.numpy as jnp
from flax import nnx


class GlobalAverage(nnx.Module):
    """Average over the image."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, C]`."""
        return jnp.mean(x, (1, 2))


class HalvingAverage(nnx.Module):
    """Average over 2×2 without overlap; an odd last row or column is cut."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌊H/2⌋, ⌊W/2⌋, C]`."""
        batch, height, width, channels = x.shape
        even = x[:, : height // 2 * 2, : width // 2 * 2]
        return even.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


class StemMaximum(nnx.Module):
    """Maximum over 3×3 with stride 2, the end of the ImageNet stem."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`."""
        return nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))


class Flatten(nnx.Module):
    """All features of an image in one axis."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, H·W·C]`."""
        return x.reshape(x.shape[0], -1)
