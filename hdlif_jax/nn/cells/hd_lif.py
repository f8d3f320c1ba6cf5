"""HD-LIF as a cell (Eq. 4)."""

import dataclasses

import jax
import jax.numpy as jnp

from hdlif_jax import neurons
from hdlif_jax.checks import Positive, check_fields
from hdlif_jax.nn.cell import NeuronCell, PerStepParam, emits_levels, spike_quantizer
from hdlif_jax.nn.module import Tick
from hdlif_jax.quantize import Bits, SpikeQuantizer


@dataclasses.dataclass(frozen=True)
class hd_lif:  # noqa: N801 - a class that is called as a function
    """HD-LIF (Eq. 4) with a learned leak and threshold for each step.

    Attributes:
      bits: n of the spike quantiser; None for unquantised spikes.
      scale: s of the spike quantiser, the size of one level; in bfloat16 spikes of up to 8 bits are exact if it is a
        power of two.

    Raises:
      ValueError: a value out of range.
    """

    bits: Bits | None = 4
    scale: Positive = 0.25

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_steps: int, num_channels: int) -> "HDLIFCell":
        """The cell for so many steps; it has nothing per channel."""
        return HDLIFCell(num_steps, spike_quantizer(self.bits, self.scale))


class HDLIFCell(NeuronCell):
    """HD-LIF with λ_t = sigmoid(raw) and θ_t = sigmoid(raw), both from 0.5."""

    operations = 3  # leak, charge and reset

    def __init__(self, num_steps: int, quantize: SpikeQuantizer):
        self.raw_decay = PerStepParam(jnp.zeros(num_steps, jnp.float32))
        self.raw_threshold = PerStepParam(jnp.zeros(num_steps, jnp.float32))
        self.quantize = quantize
        self.emits = emits_levels(self, HDLIFCell, quantize)

    def params_at(self, t: jax.Array | int) -> neurons.NeuronParams:
        """λ_t and θ_t, scalars."""
        return neurons.NeuronParams(jax.nn.sigmoid(self.raw_decay[t]), jax.nn.sigmoid(self.raw_threshold[t]))

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """λ_t, scalar."""
        return self.params_at(t).decay

    def membrane(self, state: jax.Array, x: jax.Array, tick: Tick) -> jax.Array:
        """λ_t v_{t−1} + I_t."""
        return neurons.charge(self.params_at(tick.t).decay, state, x)

    def advance(self, state: jax.Array, x: jax.Array, tick: Tick) -> tuple[jax.Array, jax.Array]:
        """See `neurons.hd_lif.step`."""
        return neurons.hd_lif.step(self.params_at(tick.t), state, x, quantize=self.quantize)
