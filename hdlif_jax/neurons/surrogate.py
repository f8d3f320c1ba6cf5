"""Spike functions: a step in the forward pass, a surrogate derivative in the backward pass."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

SpikeFunction = Callable[[jax.Array], jax.Array]


def heaviside(excess: jax.Array) -> jax.Array:
    """1[excess ≥ 0] in the dtype of `excess` `[...]`; its derivative is zero everywhere."""
    return (excess >= 0).astype(excess.dtype)


def make_spike_function(derivative: Callable[[jax.Array], jax.Array]) -> SpikeFunction:
    """Builds 1[excess ≥ 0] with `derivative` in place of its own derivative.

    Args:
      derivative: maps m − θ `[...]` to the surrogate ∂s/∂m of the same shape.

    Returns:
      A function of m − θ. It works in forward and reverse mode.
    """

    @jax.custom_jvp
    def spike(excess):
        return heaviside(excess)

    @spike.defjvp
    def _spike_jvp(primals, tangents):
        (excess,), (tangent,) = primals, tangents
        return heaviside(excess), derivative(excess) * tangent

    return spike


def triangle(width: float = 1.0) -> SpikeFunction:
    """Spike function with the triangle surrogate max(γ − |m − θ|, 0) / γ² (Section 4.1).

    Args:
      width: γ, half the width of the triangle, in units of the membrane.

    Raises:
      ValueError: `width` is not positive.
    """
    if not width > 0:
        raise ValueError(f"width={width} must be positive: it is half the base of the triangle, e.g. width=1.0")
    return make_spike_function(lambda excess: jnp.maximum(width - jnp.abs(excess), 0) / width**2)
