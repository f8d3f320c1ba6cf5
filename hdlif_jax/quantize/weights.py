"""1-bit and 1.5-bit weights: integer levels times a scale, with straight-through gradients (Section 4.1).

Standardised weights stand beside them, because they too are a Ŵ that is computed of W once per batch; they stay floats.

Kernels have their output channel last, as everywhere in JAX: `[..., C_in, C_out]`.
"""

from collections.abc import Callable
from typing import NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from hdlif_jax.checks import WeightKind


class QuantizedKernel(NamedTuple):
    """Ŵ = levels · scale.

    Attributes:
      levels: −1, 0 or 1 in the dtype of the kernel, `[..., C_out]`.
      scale: `[1, ..., C_out]` (binary) or `[1, ..., 1]` (ternary), ≥ 0.
    """

    levels: jax.Array
    scale: jax.Array


def binarize(kernel: jax.Array) -> QuantizedKernel:
    """1-bit: sign(W) with the mean |W| of each output channel as scale; sign(0) = +1.

    Follows Liu et al., "How Do Adam and Training Strategies Help BNNs Optimization" (ICML 2021).

    Args:
      kernel: `[..., C_out]`.

    Raises:
      AssertionError: a scalar, or a kernel that is not floating.
    """
    _check_kernel(kernel)
    axes = tuple(range(kernel.ndim - 1))
    scale = jnp.mean(jnp.abs(kernel), axes, keepdims=True)
    return QuantizedKernel(jnp.where(kernel >= 0, 1, -1).astype(kernel.dtype), scale)


def ternarize(kernel: jax.Array) -> QuantizedKernel:
    """1.5-bit: sign(W)·1[|W| > Δ], Δ = 0.7·mean|W|, scaled by the mean |W| of the kept, W clipped to [−1, 1].

    Follows Li et al., "Ternary Weight Networks" (2016); one Δ and one scale per layer.

    Args:
      kernel: `[..., C_out]`.

    Raises:
      AssertionError: a scalar, or a kernel that is not floating.
    """
    _check_kernel(kernel)
    magnitude = jnp.minimum(jnp.abs(kernel), 1)
    kept = magnitude > 0.7 * jnp.mean(magnitude)
    count = jnp.maximum(jnp.sum(kept.astype(kernel.dtype)), 1)
    scale = jnp.sum(jnp.where(kept, magnitude, 0)) / count
    levels = jnp.where(kept, jnp.sign(kernel), 0)
    return QuantizedKernel(levels, scale.reshape((1,) * kernel.ndim))


@jax.custom_jvp
def quantize_binary(kernel: jax.Array) -> jax.Array:
    """Ŵ of `binarize`; the scale is a constant to the gradient, which passes straight through where |W| ≤ 1."""
    levels, scale = binarize(kernel)
    return levels * scale


@quantize_binary.defjvp
def _quantize_binary_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (kernel,), (tangent,) = primals, tangents
    return quantize_binary(kernel), jnp.where(jnp.abs(kernel) <= 1, tangent, 0)


@jax.custom_jvp
def quantize_ternary(kernel: jax.Array) -> jax.Array:
    """Ŵ of `ternarize`; the gradient passes straight through strictly inside (−1, 1)."""
    levels, scale = ternarize(kernel)
    return levels * scale


@quantize_ternary.defjvp
def _quantize_ternary_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (kernel,), (tangent,) = primals, tangents
    return quantize_ternary(kernel), jnp.where(jnp.abs(kernel) < 1, tangent, 0)


def standardize(kernel: jax.Array, gain: jax.Array) -> jax.Array:
    """Ŵ = gain · (W − μ) / √(σ²·N + 1e-4) of each output channel: N is its fan-in, σ² the unbiased variance.

    Follows Brock et al., "Characterizing Signal Propagation to Close the Performance Gap in Unnormalized ResNets" (ICLR
    2021), with the constant of OTTT (Xiao et al., NeurIPS 2022). It is differentiable as it stands.

    Args:
      kernel: W `[..., C_out]`.
      gain: `[C_out]`.

    Raises:
      AssertionError: a kernel that is a scalar or not floating, or a gain of another size.
    """
    _check_kernel(kernel)
    chex.assert_shape(gain, kernel.shape[-1:], custom_message="the gain of a standardised kernel is [C_out]")
    fan_in = kernel.size // kernel.shape[-1]
    centred = kernel - jnp.mean(kernel, tuple(range(kernel.ndim - 1)), keepdims=True)
    squares = jnp.sum(jnp.square(centred), tuple(range(kernel.ndim - 1)))
    # N times the unbiased variance; a single weight has none, and is 0 anyway.
    factor = gain * jax.lax.rsqrt(squares * (fan_in / max(fan_in - 1, 1)) + 1e-4)
    return centred * factor.reshape((1,) * (kernel.ndim - 1) + (-1,))


WEIGHT_QUANTIZERS: dict[str, Callable[..., jax.Array]] = {
    "float": lambda kernel: kernel,
    "binary": quantize_binary,
    "ternary": quantize_ternary,
    "standardized": standardize,
}


def has_levels(kind: WeightKind) -> bool:
    """Whether Ŵ of a kind is −1, 0 and 1 times a scale."""
    return kind in ("binary", "ternary")


def weight_quantizer(kind: WeightKind) -> Callable[..., jax.Array]:
    """The function W → Ŵ for "float" (the identity), "binary" or "ternary"; (W, gain) → Ŵ for "standardized".

    Raises:
      ValueError: an unknown kind.
    """
    if kind not in WEIGHT_QUANTIZERS:
        raise ValueError(f"weights={kind!r} is unknown; choose one of {', '.join(get_args(WeightKind))}")
    return WEIGHT_QUANTIZERS[kind]


def _check_kernel(kernel: jax.Array) -> None:
    chex.assert_shape(kernel, (..., None), custom_message="a kernel is [..., C_out]")
    chex.assert_type(kernel, float, custom_message="a kernel to quantise is floating")
