"""Pooling as modules without parameters, so that a network is made of nothing but modules and sums."""

import jax

from hdlif_jax import ops
from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.nn.module import Module


class GlobalAverage(Module):
    """Average over the image."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, C]`."""
        return ops.global_average(x)


class AvgPool2x2(Module):
    """Average over 2×2 without overlap; an odd last row or column is cut."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌊H/2⌋, ⌊W/2⌋, C]`."""
        return ops.average_pool(x)


class AdaptiveAverage(Module):
    """Average over size × size windows that cover an image of any size; see `ops.adaptive_average`."""

    @check_arguments
    def __init__(self, size: Count):
        self.size = size

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, size, size, C]`."""
        return ops.adaptive_average(x, self.size)


class AvgPool3x3(Module):
    """Average over 3×3 with stride 2, zeros around the image counted."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`."""
        return ops.average_3x3(x)


class MaxPool3x3(Module):
    """Maximum over 3×3 with stride 2, the end of the ImageNet stem."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌈H/2⌉, ⌈W/2⌉, C]`."""
        return ops.max_pool(x)


class MaxPool2x2(Module):
    """Maximum over 2×2 without overlap; an odd last row or column is cut."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, ⌊H/2⌋, ⌊W/2⌋, C]`."""
        return ops.max_pool_2x2(x)


class Flatten(Module):
    """All features of an input in one axis."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, ...]` to `[B, F]`."""
        return x.reshape(x.shape[0], -1)
