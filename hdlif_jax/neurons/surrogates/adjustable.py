"""Spike functions with a number that changes while a network trains, and that the cell holds beside its parameters.

Called directly they are spike functions of the number that they start with.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Positive, Share
from hdlif_jax.neurons.surrogates.base import SpikeFunction, Surrogate, Tie, hard_step

# Classes that are called as functions and named as such.
# ruff: noqa: N801

Curve = Callable[[jax.Array, jax.Array], jax.Array]
LINEAR = 1e-3  # a temperature below which D is its limit, to 1e-7


@dataclasses.dataclass(frozen=True)
class Adjustable(Surrogate):
    """A step whose gradient is that of a curve with a number; write `start` and `curve`.

    Attributes:
      learned: whether the number is learned; else whoever trains sets it.
    """

    learned: ClassVar[bool] = False

    @property
    def draws(self) -> bool:
        """Whether something is drawn in training, from a key of the cell and step."""
        return False

    @property
    def start(self) -> float:
        """The number before any training."""
        raise TypeError(f"{type(self).__name__} has no start; write the property")

    def curve(self, excess: jax.Array, value: jax.Array) -> jax.Array:
        """From m − θ `[...]` and the number to the curve, of the same shape and type."""
        raise TypeError(f"{type(self).__name__} has no curve(excess, value); write it")

    def at(self, value: jax.Array | float, key: jax.Array | None = None) -> SpikeFunction:
        """The spike function at a number, which may be traced.

        Args:
          value: the number, scalar.
          key: in training, for what is drawn.
        """

        def spike(excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
            excess = jnp.asarray(excess)
            return _step(excess, jnp.asarray(value, excess.dtype), None, tie, self.curve)

        return spike

    def __call__(self, excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
        """As the spike function at `start`."""
        return self.at(self.start)(excess, tie)

    def derivative(self, excess: jax.Array) -> jax.Array:
        """∂s/∂m at m − θ with the number at `start`, `[...]` to `[...]`."""
        value = jnp.asarray(self.start, excess.dtype)
        slope: jax.Array = jax.jvp(lambda excess: self.curve(excess, value), (excess,), (jnp.ones_like(excess),))[1]
        return slope


@dataclasses.dataclass(frozen=True)
class dspike(Adjustable):
    """b · sech²(b (m − θ)) / (2 tanh(b/2)) where |m − θ| ≤ ½ (Li et al., "Differentiable Spike", NeurIPS 2021).

    The derivative of a curve from 0 at m = θ − ½ to 1 at θ + ½, so its area is 1; b → 0 is `rectangle()`, b → ∞ the
    step. `training.choose_temperature` chooses b.

    Attributes:
      temperature: b at the start.

    Raises:
      ValueError: `temperature` is not positive.

    Example:
      >>> import jax
      >>> from hdlif_jax.neurons import surrogates
      >>> spike = surrogates.dspike(2.0)
      >>> spike(jax.numpy.float32([-0.5, 0.0, 0.25])).tolist()
      [0.0, 1.0, 1.0]
      >>> round(float(jax.grad(spike.at(4.0))(0.0)), 4)  # 4 / (2 tanh 2)
      2.0746
    """

    temperature: Positive = 3.0

    @property
    def start(self) -> float:
        """The temperature, b."""
        return self.temperature

    def curve(self, excess: jax.Array, value: jax.Array) -> jax.Array:
        """½ + tanh(b (m − θ)) / (2 tanh(b/2)) within ½ of the threshold, 0 below and 1 above; b may be 0."""
        is_linear = jnp.abs(value) < LINEAR
        safe = jnp.where(is_linear, 1, value)
        inner = jnp.where(is_linear, excess, jnp.tanh(safe * excess) / (2 * jnp.tanh(safe / 2)))
        outer = jnp.where(excess < 0, -0.5, 0.5).astype(excess.dtype)
        return 0.5 + jnp.where(jnp.abs(excess) <= 0.5, inner, outer)


@dataclasses.dataclass(frozen=True)
class smooth_step(Adjustable):
    """A step whose gradient is that of a smooth one, of learned width (ASGL, Wang et al., ICML 2023).

    With g the smooth step, σ(a (m − θ)) with the number a for a "sigmoid" and clip(eᵃ (m − θ) + ½, 0, 1) for a "ramp",
    s = g + M · sg(1[m ≥ θ] − g): in training M is 0 at a share `noise` of the neurons, drawn anew at every step, which
    hand on g itself; in inference it is 1. The gradient, with respect to m and to a, is g's either way.

    Attributes:
      shape: "sigmoid" or "ramp".
      width: at the start; the slope is 1 / width.
      noise: share of neurons that hand on g while training.

    Raises:
      ValueError: another shape, `width` is not positive, or `noise` not in [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax.neurons import surrogates
      >>> ramp = surrogates.smooth_step("ramp", width=2.0, noise=0.5)
      >>> excess = jnp.float32([-0.5, 0.0, 0.5])
      >>> ramp(excess).tolist(), ramp.mixed(ramp.start, jnp.array([True, True, False]))(excess).tolist()
      ([0.0, 1.0, 1.0], [0.0, 1.0, 0.75])
    """

    shape: Literal["sigmoid", "ramp"] = "sigmoid"
    width: Positive = 1.0
    noise: Share = 0.0
    learned: ClassVar[bool] = True

    @property
    def draws(self) -> bool:
        """Whether there is noise."""
        return self.noise > 0

    @property
    def start(self) -> float:
        """a, the slope of a sigmoid and the logarithm of that of a ramp."""
        return 1 / self.width if self.shape == "sigmoid" else -math.log(self.width)

    def curve(self, excess: jax.Array, value: jax.Array) -> jax.Array:
        """The smooth step, g, at the number a."""
        if self.shape == "sigmoid":
            return jax.nn.sigmoid(value * excess)
        height = jnp.exp(value) * excess + 0.5
        return jnp.where(height < 0, 0, jnp.where(height > 1, 1, height)).astype(excess.dtype)

    def at(self, value: jax.Array | float, key: jax.Array | None = None) -> SpikeFunction:
        """The spike function at a = `value`, with noise where there is a key."""

        def spike(excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
            if key is None or not self.draws:
                return self.mixed(value)(excess, tie)
            fires = jax.random.bernoulli(key, jnp.float32(1 - self.noise), jnp.shape(excess))
            return self.mixed(value, fires)(excess, tie)

        return spike

    def mixed(self, value: jax.Array | float, fires: jax.Array | None = None) -> SpikeFunction:
        """The spike function at a = `value` with M given: `[...]` bool, True where neurons fire; None is everywhere."""

        def spike(excess: jax.Array, /, tie: Tie = ">=") -> jax.Array:
            excess = jnp.asarray(excess)
            return _step(excess, jnp.asarray(value, excess.dtype), fires, tie, self.curve)

        return spike


# A custom rule and not curve + stop_gradient(step − curve): that sum rounds, and spikes would not be 0 and 1.
@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _step(excess: jax.Array, value: jax.Array, fires: jax.Array | None, tie: Tie, curve: Curve) -> jax.Array:
    step = hard_step(excess, tie)
    return step if fires is None else jnp.where(fires, step, curve(excess, value))


@_step.defjvp
def _step_jvp(
    tie: Tie,
    curve: Curve,
    primals: tuple[jax.Array, jax.Array, jax.Array | None],
    tangents: tuple[jax.Array, jax.Array, jax.Array | None],
) -> tuple[jax.Array, jax.Array]:
    slope: jax.Array = jax.jvp(curve, primals[:2], tangents[:2])[1]
    return _step(*primals, tie, curve), slope
