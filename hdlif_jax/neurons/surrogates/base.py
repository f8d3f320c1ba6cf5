"""What the spike functions share: a step in the forward pass, a surrogate derivative in the backward pass."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, Protocol

import jax
import jax.numpy as jnp

from hdlif_jax.checks import check_fields

Tie = Literal[">=", ">"]


class SpikeFunction(Protocol):
    """A step with a surrogate derivative."""

    def __call__(self, excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
        """From m − θ `[...]` to 1 where it is ≥ 0 (or > 0), else 0, of the same shape and type."""


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """What the spike functions share: forward and reverse mode with `derivative` in place of the step's own."""

    def __call__(self, excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
        """From m − θ `[...]` to 1 where it is ≥ 0 (or > 0), else 0, of the same shape and type."""
        return _spike(jnp.asarray(excess), tie, self.derivative)

    def derivative(self, excess: jax.Array) -> jax.Array:
        """∂s/∂m at m − θ, `[...]` to `[...]`."""
        raise TypeError(f"{type(self).__name__} has no derivative; give it one, or use surrogates.custom(derivative)")

    def __post_init__(self) -> None:
        check_fields(self)


def hard_step(excess: jax.Array, tie: Tie) -> jax.Array:
    """1 where `excess` is ≥ 0 (or > 0), else 0, of its type.

    Raises:
      ValueError: an unknown tie.
    """
    if tie not in (">=", ">"):
        raise ValueError(f"tie={tie!r} is unknown; choose '>=' (a neuron at its threshold fires) or '>'")
    return (excess >= 0 if tie == ">=" else excess > 0).astype(excess.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _spike(excess: jax.Array, tie: Tie, derivative: Callable[[jax.Array], jax.Array]) -> jax.Array:
    return hard_step(excess, tie)


@_spike.defjvp
def _spike_jvp(
    tie: Tie,
    derivative: Callable[[jax.Array], jax.Array],
    primals: tuple[jax.Array],
    tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:
    (excess,), (tangent,) = primals, tangents
    return _spike(excess, tie, derivative), derivative(excess) * tangent
