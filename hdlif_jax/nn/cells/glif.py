"""Gated LIF as a cell (Yao et al., NeurIPS 2022)."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Inside, Probability, check_fields
from hdlif_jax.neurons import glif as dynamics
from hdlif_jax.nn.cell import BINARY, NeuronCell, PerStepParam
from hdlif_jax.nn.module import Module, Tick

GATES = 3
SPREAD = 0.1  # of gates that start at random, before the logistic function


@dataclasses.dataclass(frozen=True)
class glif:  # noqa: N801 - a class that is called as a function
    """GLIF with learned parameters for each channel, of which the conductance is one of each step.

    Attributes:
      gates: (α, β, γ) for leak, current and reset; one given as i starts halfway between i and ½, as the authors' do.
        None starts each channel's near ½, as in their published runs: σ(raw) of raw uniform in ±0.1, from a fixed
        generator.
      decay: τ at the start, what the exponential leak leaves.
      threshold: ϑ at the start.
      leak: ℓ at the start, of the linear leak.
      reset: ρ at the start, of the soft reset.
      conductance: g at the start, at every step.

    Raises:
      ValueError: a value out of range.
    """

    gates: tuple[Probability, Probability, Probability] | None = None
    decay: Inside = 0.25
    threshold: Inside = 0.5
    leak: Inside = 0.0625
    reset: Inside = 0.5
    conductance: Inside = 0.5

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_steps: int, num_channels: int) -> "GLIFCell":
        """The cell for so many steps and channels."""
        return GLIFCell(num_steps, num_channels, self)


class Gates(Module):
    """α, β and γ before the logistic function, each `[C]`: apart, so that an optimiser can go slower on them."""

    def __init__(self, leak: jax.Array, current: jax.Array, reset: jax.Array):
        self.leak, self.current, self.reset = nnx.Param(leak), nnx.Param(current), nnx.Param(reset)


class GLIFCell(NeuronCell):
    """GLIF with the options of `glif`; all parameters are stored before the logistic function."""

    emits = BINARY
    operations = 6  # two leaks, the gate of the current, the charge, and two resets

    def __init__(self, num_steps: int, num_channels: int, options: glif = glif()):
        def constant(value: float, *shape: int) -> jax.Array:
            return jnp.full((*shape, num_channels), math.log(value / (1 - value)), jnp.float32)

        if options.gates is None:
            size = (GATES, num_channels)
            self.gates = Gates(*jax.random.uniform(jax.random.key(0), size, jnp.float32, -SPREAD, SPREAD))
        else:
            self.gates = Gates(*(constant(0.5 + (gate - 0.5) / 2) for gate in options.gates))
        self.raw_decay = nnx.Param(constant(options.decay))
        self.raw_threshold = nnx.Param(constant(options.threshold))
        self.raw_leak = nnx.Param(constant(options.leak))
        self.raw_reset = nnx.Param(constant(options.reset))
        self.raw_conductance = PerStepParam(constant(options.conductance, num_steps))

    def params_at(self, t: jax.Array | int) -> dynamics.GLIFParams:
        """The parameters of a step, each `[C]`."""
        gates = self.gates
        shared = (gates.leak, gates.current, gates.reset, self.raw_decay, self.raw_threshold, self.raw_leak)
        raw = (*(param[...] for param in (*shared, self.raw_reset)), self.raw_conductance[t])
        return dynamics.GLIFParams(*map(jax.nn.sigmoid, raw))

    def _params_for(self, x: jax.Array, t: jax.Array | int) -> dynamics.GLIFParams:
        """The parameters of a step, in the rank of a current `[B, ..., C]`."""
        channels = (1,) * (x.ndim - 1) + (-1,)
        return dynamics.GLIFParams(*(param.reshape(channels) for param in self.params_at(t)))

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """1 − α(1 − τ) `[C]`, the factor of the exponential leak."""
        return dynamics.remaining(self.params_at(t))

    def start(self, x: jax.Array) -> dynamics.GLIFState:
        """At rest."""
        return dynamics.GLIFState(jnp.zeros_like(x), jnp.zeros_like(x))

    def membrane(self, state: dynamics.GLIFState, x: jax.Array, tick: Tick) -> jax.Array:
        """See `neurons.glif.charge`."""
        return dynamics.charge(self._params_for(x, tick.t), state, x)

    def advance(self, state: dynamics.GLIFState, x: jax.Array, tick: Tick) -> tuple[dynamics.GLIFState, jax.Array]:
        """See `neurons.glif.step`."""
        return dynamics.step(self._params_for(x, tick.t), state, x)
