"""Adaptive LIF as a cell (Bellec et al., LSNN, NeurIPS 2018)."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Inside, Positive, check_fields
from hdlif_jax.neurons import adaptive_lif as dynamics
from hdlif_jax.neurons import charge
from hdlif_jax.neurons.surrogates import Adjustable, SpikeFunction, triangle
from hdlif_jax.nn.cell import BINARY, NeuronCell
from hdlif_jax.nn.module import Tick


@dataclasses.dataclass(frozen=True)
class adaptive_lif:  # noqa: N801 - a class that is called as a function
    """LIF with an adaptive threshold, whose leak and strength of adaptation are learned and shared over time.

    Attributes:
      surrogate: the spike function, from `neurons.surrogates` or your own.
      decay: λ in (0, 1) at the start, as sigmoid(raw).
      threshold: θ > 0 at rest.
      strength: β > 0 at the start, as softplus(raw).
      adaptation_decay: ρ in (0, 1).

    Raises:
      ValueError: a value out of range, or an adjustable surrogate.
    """

    surrogate: SpikeFunction = triangle(1.0)
    decay: Inside = 0.5
    threshold: Positive = 1.0
    strength: Positive = 0.2
    adaptation_decay: Inside = 0.9

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.surrogate, Adjustable):
            raise ValueError(
                f"surrogate={self.surrogate} has a number that changes while a network trains, which adaptive_lif has "
                "no place for; use nn.lif(surrogate=...)"
            )

    def __call__(self, num_steps: int, num_channels: int) -> "AdaptiveLIFCell":
        """The cell; it has nothing per step or channel."""
        return AdaptiveLIFCell(self)


class AdaptiveLIFCell(NeuronCell):
    """Adaptive LIF with the options of `adaptive_lif`."""

    emits = BINARY
    operations = 5  # leak, charge and reset of the membrane; leak and rise of the threshold

    def __init__(self, options: adaptive_lif = adaptive_lif()):
        self.options = options
        self.raw_decay = nnx.Param(jnp.float32(math.log(options.decay / (1 - options.decay))))
        self.raw_strength = nnx.Param(jnp.float32(math.log(math.expm1(options.strength))))

    def params(self) -> dynamics.AdaptiveParams:
        """λ, θ, β and ρ, scalars."""
        return dynamics.AdaptiveParams(
            jax.nn.sigmoid(self.raw_decay[...]),
            jnp.float32(self.options.threshold),
            jax.nn.softplus(self.raw_strength[...]),
            jnp.float32(self.options.adaptation_decay),
        )

    def start(self, x: jax.Array) -> dynamics.AdaptiveState:
        """At rest."""
        return dynamics.AdaptiveState(jnp.zeros_like(x), jnp.zeros_like(x))

    def membrane(self, state: dynamics.AdaptiveState, x: jax.Array, tick: Tick) -> jax.Array:
        """λ v_{t−1} + I_t."""
        return charge(self.params().decay, state.potential, x)

    def advance(
        self, state: dynamics.AdaptiveState, x: jax.Array, tick: Tick
    ) -> tuple[dynamics.AdaptiveState, jax.Array]:
        """See `neurons.adaptive_lif.step`; nothing depends on the step."""
        return dynamics.step(self.params(), state, x, spike_function=self.options.surrogate)
