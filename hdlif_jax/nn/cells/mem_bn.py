"""Mem-BN HD-LIF as a cell (Eq. 6)."""

import dataclasses

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Positive, Share, check_fields
from hdlif_jax.neurons import mem_bn as dynamics
from hdlif_jax.nn.cell import PerStepParam, PerStepStat, emits_levels, spike_quantizer
from hdlif_jax.nn.cells.hd_lif import HDLIFCell
from hdlif_jax.nn.module import Tick
from hdlif_jax.quantize import Bits, SpikeQuantizer


@dataclasses.dataclass(frozen=True)
class mem_bn:  # noqa: N801 - a class that is called as a function
    """Mem-BN HD-LIF (Eq. 6): HD-LIF on a partly normalised membrane.

    Attributes:
      bits: n of the spike quantiser; None for unquantised spikes.
      scale: s of the spike quantiser, the size of one level; in bfloat16 spikes of up to 8 bits are exact if it is a
        power of two.
      momentum: of the running statistics, what a batch leaves of them.

    Raises:
      ValueError: a value out of range.
    """

    bits: Bits | None = 4
    scale: Positive = 0.25
    momentum: Share = 0.9

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_steps: int, num_channels: int) -> "MemBNHDLIFCell":
        """The cell for so many steps and channels."""
        return MemBNHDLIFCell(num_steps, num_channels, spike_quantizer(self.bits, self.scale), self.momentum)


class MemBNHDLIFCell(HDLIFCell):
    """Mem-BN HD-LIF: one BatchNorm of the membrane per time-step, α_t = sigmoid(raw), β_t = sigmoid(raw).

    In training form it normalises with the batch's moments, which also move the running statistics of step t; else with
    those.
    """

    operations = 3  # leak, charge and reset: the normalisation is folded

    def __init__(self, num_steps: int, num_channels: int, quantize: SpikeQuantizer, momentum: float = 0.9):
        super().__init__(num_steps, quantize)
        self.emits = emits_levels(self, MemBNHDLIFCell, quantize)
        self.momentum = momentum
        self.raw_membrane_weight = PerStepParam(jnp.zeros(num_steps, jnp.float32))
        self.raw_normalized_weight = PerStepParam(jnp.zeros(num_steps, jnp.float32))
        self.scale = PerStepParam(jnp.ones((num_steps, num_channels), jnp.float32))
        self.shift = PerStepParam(jnp.zeros((num_steps, num_channels), jnp.float32))
        self.mean = PerStepStat(jnp.zeros((num_steps, num_channels), jnp.float32))
        self.var = PerStepStat(jnp.ones((num_steps, num_channels), jnp.float32))

    def mem_bn_params_at(self, t: jax.Array | int) -> dynamics.MemBNParams:
        """α_t and β_t, scalars; γ_t and b_t `[C]`."""
        return dynamics.MemBNParams(
            jax.nn.sigmoid(self.raw_membrane_weight[t]),
            jax.nn.sigmoid(self.raw_normalized_weight[t]),
            self.scale[t],
            self.shift[t],
        )

    def moments_at(self, t: jax.Array | int) -> dynamics.Moments:
        """The running μ_t and σ_t², `[C]`."""
        return dynamics.Moments(self.mean[t], self.var[t])

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """None: only the folded neuron, on another current, leaves its membrane by a factor, λ̂_t of Eq. 8."""
        return None

    def membrane(self, state: jax.Array, x: jax.Array, tick: Tick) -> jax.Array:
        """m̂_t of Eq. 6, which is compared with the threshold."""
        charged = super().membrane(state, x, tick)
        moments = dynamics.batch_moments(charged) if self.trains else self.moments_at(tick.t)
        return dynamics.normalize(self.mem_bn_params_at(tick.t), moments, charged)

    def advance(self, state: jax.Array, x: jax.Array, tick: Tick) -> tuple[jax.Array, jax.Array]:
        """See `neurons.mem_bn`."""
        t = tick.t
        params, mem_bn_params = self.params_at(t), self.mem_bn_params_at(t)
        if not self.trains:
            return dynamics.inference_step(params, mem_bn_params, self.moments_at(t), state, x, quantize=self.quantize)
        state, spikes, moments = dynamics.training_step(params, mem_bn_params, state, x, quantize=self.quantize)
        # Running statistics are for inference only: no gradient may pass through them.
        moments = jax.lax.stop_gradient(moments)
        kept, new = self.momentum, 1 - self.momentum
        self.mean[...] = self.mean[...].at[t].set(kept * self.mean[t] + new * moments.mean)
        self.var[...] = self.var[...].at[t].set(kept * self.var[t] + new * moments.variance)
        return state, spikes
