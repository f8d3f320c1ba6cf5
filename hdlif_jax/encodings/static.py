"""What an encoding is, and the codes of single pixels: the input itself, its rate, its latency."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Count, Share, check_fields

# Classes that are called as functions and named as such.
# ruff: noqa: N801


class Encoding(Protocol):
    """Static inputs to what a network reads.

    It reads intensities; one with an attribute `normalized`, which is True, reads normalised inputs.
    """

    def __call__(self, key: jax.Array, inputs: jax.Array, /) -> jax.Array:
        """Inputs `[B, ...]`, intensities in [0, 1], to a sequence `[T, B, ...]`, or to `[B, ...]` of every step."""


def reads_normalized(encoding: Any) -> bool:
    """Whether an encoding says that it reads normalised inputs; one of your own reads intensities in [0, 1] else."""
    return bool(getattr(encoding, "normalized", False))


@dataclasses.dataclass(frozen=True)
class direct:
    """The input itself, shown at every step: a current of real numbers, which the first layer turns into spikes."""

    def __call__(self, key: jax.Array, inputs: jax.Array) -> jax.Array:
        """`[B, ...]` of any values to the same; networks run their stem on it once."""
        return inputs


@dataclasses.dataclass(frozen=True)
class poisson:
    """Rate code: at every step a spike with the probability of the intensity, independent of all others.

    A Poisson process seen in steps of one spike at most, which is a Bernoulli process.

    Attributes:
      num_steps: T.

    Raises:
      ValueError: `num_steps` < 1.
    """

    num_steps: Count

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, key: jax.Array, inputs: jax.Array) -> jax.Array:
        """Intensities `[B, ...]` in [0, 1] to spikes `[T, B, ...]`, 0 or 1."""
        return jax.random.bernoulli(key, inputs[None], (self.num_steps, *inputs.shape)).astype(inputs.dtype)


@dataclasses.dataclass(frozen=True)
class latency:
    """Time to first spike: one spike, the earlier the higher the intensity, at step round((T − 1)(1 − x)) from 0.

    Attributes:
      num_steps: T.
      silence: intensities up to this one never spike.

    Raises:
      ValueError: a value out of range.
    """

    num_steps: Count
    silence: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, key: jax.Array, inputs: jax.Array) -> jax.Array:
        """Intensities `[B, ...]` in [0, 1] to spikes `[T, B, ...]`, 0 or 1."""
        first = jnp.round((self.num_steps - 1) * (1 - inputs)).astype(jnp.int32)
        steps = jnp.arange(self.num_steps, dtype=jnp.int32).reshape(-1, *[1] * inputs.ndim)
        spikes = (steps == first[None]) & (inputs > self.silence)[None]
        return spikes.astype(inputs.dtype)
