"""Q, the spike quantiser of Eq. 4: s·clip(⌊x/s⌉_τ, 0, 2ⁿ − 1 + τ) with a straight-through gradient."""

import dataclasses

import chex
import jax
import jax.numpy as jnp

from hdlif_jax.checks import Bits, NotNegative, Positive, check_fields


def soft_round(x: jax.Array, softness: float) -> jax.Array:
    """⌊x⌉_τ: rounding at τ = 0, the identity as τ → ∞, smooth and increasing between.

    The paper fixes only the two ends. Between them this is the soft rounding of Agustsson & Theis, "Universally
    Quantized Neural Compression" (NeurIPS 2020), with α = 1/τ: it agrees with x at integers and at half-integers.
    Ties at τ = 0 go to the even level, as in IEEE 754.

    Args:
      x: any shape.
      softness: τ ≥ 0.

    Raises:
      AssertionError: x is not floating.
    """
    chex.assert_type(x, float, custom_message="what is rounded softly is floating")
    if softness == 0:
        return jnp.round(x)
    floor = jnp.floor(x)
    offset = x - floor - 0.5  # in [−1/2, 1/2)
    return floor + 0.5 + 0.5 * jnp.tanh(offset / softness) / jnp.tanh(jnp.asarray(0.5 / softness, x.dtype))


@dataclasses.dataclass(frozen=True)
class SpikeQuantizer:
    """Q(x; s, n, τ) of Eq. 4 as a function of the raw spikes.

    The gradient is 1 everywhere, also where Q clips (the authors' choice). Hashable, so it can be a static argument.

    Attributes:
      scale: s, the size of a level.
      bits: n; the levels are 0…2ⁿ − 1.
      softness: τ. 0 rounds; None is τ → ∞, no quantisation at all; between, `soft_round` and the clip at 2ⁿ − 1 + τ.

    Raises:
      ValueError: a value out of range.
      TypeError: a value of another type.
    """

    scale: Positive = 0.25
    bits: Bits = 4
    softness: NotNegative | None = 0.0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def max_level(self) -> int:
        """The highest integer level, 2ⁿ − 1."""
        return int(2**self.bits - 1)

    def __call__(self, raw_spikes: jax.Array) -> jax.Array:
        """Quantises s*_t `[...]` to s_t `[...]`.

        Raises:
          AssertionError: spikes that are not floating.
        """
        chex.assert_type(raw_spikes, float, custom_message="raw spikes s* are floating")
        if self.softness is None:
            return raw_spikes
        levels = soft_round(raw_spikes / self.scale, self.softness)
        quantized = self.scale * jnp.clip(levels, 0, self.max_level + self.softness)
        return _identity_gradient(jax.lax.stop_gradient(quantized), raw_spikes)


def round_to(value: jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    """The nearest value that another type holds, in the type of `value`, with a gradient of one."""
    if value.dtype == jnp.dtype(dtype):
        return value
    return _identity_gradient(jax.lax.stop_gradient(value).astype(dtype).astype(value.dtype), value)


# A custom rule and not x + stop_gradient(Q(x) − x): that sum rounds, and the result would be off the grid.
@jax.custom_jvp
def _identity_gradient(value: jax.Array, through: jax.Array) -> jax.Array:
    return value


@_identity_gradient.defjvp
def _identity_gradient_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return primals[0], tangents[1]
