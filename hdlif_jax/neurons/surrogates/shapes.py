"""Spike functions whose derivative is one of a shape that stays as it is.

Derivatives are with respect to m − θ, in units of the membrane; of neurons that compare by m / θ − 1, in units of θ.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Positive
from hdlif_jax.neurons.surrogates.base import Surrogate

# Classes that are called as functions and named as such.
# ruff: noqa: N801


@dataclasses.dataclass(frozen=True)
class triangle(Surrogate):
    """height · max(1 − |m − θ| / γ, 0) (Section 4.1).

    Attributes:
      width: γ, half the base of the triangle.
      height: at the threshold; None is 1 / γ, an area of 1.

    Raises:
      ValueError: `width` or `height` is not positive.

    Example:
      >>> import jax
      >>> from hdlif_jax.neurons import surrogates
      >>> spike = surrogates.triangle(width=1.0)
      >>> spike(jax.numpy.float32([-0.5, 0.0, 0.25])).tolist()
      [0.0, 1.0, 1.0]
      >>> float(jax.grad(spike)(0.25))
      0.75
    """

    width: Positive = 1.0
    height: Positive | None = None

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        triangle = jnp.maximum(self.width - jnp.abs(excess), 0)
        return triangle / self.width**2 if self.height is None else triangle * (self.height / self.width)


@dataclasses.dataclass(frozen=True)
class rectangle(Surrogate):
    """height · 1[|m − θ| < width / 2] (Wu et al., "Spatio-Temporal Backpropagation", 2018).

    Attributes:
      width: of the box, around the threshold.
      height: of the box; None is 1 / width, an area of 1.

    Raises:
      ValueError: `width` is not positive.
    """

    width: Positive = 1.0
    height: Positive | None = None

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        height = 1 / self.width if self.height is None else self.height
        return jnp.where(jnp.abs(excess) < self.width / 2, height, 0).astype(excess.dtype)


@dataclasses.dataclass(frozen=True)
class sigmoid(Surrogate):
    """Derivative of σ(slope · (m − θ)), slope · σ (1 − σ), of area 1.

    Attributes:
      slope: of the argument.

    Raises:
      ValueError: `slope` is not positive.
    """

    slope: Positive = 4.0

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        value = jax.nn.sigmoid(self.slope * excess)
        return self.slope * value * (1 - value)


@dataclasses.dataclass(frozen=True)
class arctan(Surrogate):
    """slope / 2 / (1 + (π/2 · slope · (m − θ))²), that of an arc tangent, of area 1 (Fang et al., ICCV 2021).

    Attributes:
      slope: twice the derivative at the threshold.

    Raises:
      ValueError: `slope` is not positive.
    """

    slope: Positive = 2.0

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        return self.slope / 2 / (1 + jnp.square(jnp.pi / 2 * self.slope * excess))


@dataclasses.dataclass(frozen=True)
class fast_sigmoid(Surrogate):
    """1 / (1 + slope · |m − θ|)² (Zenke & Ganguli, "SuperSpike", 2018).

    Attributes:
      slope: how fast it falls; the area is 2 / slope.

    Raises:
      ValueError: `slope` is not positive.
    """

    slope: Positive = 10.0

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        return 1 / jnp.square(1 + self.slope * jnp.abs(excess))


@dataclasses.dataclass(frozen=True)
class gaussian(Surrogate):
    """exp(−((m − θ) / width)²) / (width · √π), a bell of area 1 (Yin, Corradi & Bohté, 2021).

    Attributes:
      width: of the bell.

    Raises:
      ValueError: `width` is not positive.
    """

    width: Positive = 0.5

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        return jnp.exp(-jnp.square(excess / self.width)) / (self.width * jnp.sqrt(jnp.pi))


@dataclasses.dataclass(frozen=True)
class custom(Surrogate):
    """Your own derivative.

    Attributes:
      function: maps m − θ `[...]` to the surrogate ∂s/∂m of the same shape; name it at module level, so that two spike
        functions of it are equal.
    """

    function: Callable[[jax.Array], jax.Array]

    def derivative(self, excess: jax.Array) -> jax.Array:
        """See the class."""
        return self.function(excess)
