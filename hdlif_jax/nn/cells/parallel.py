"""Parallel HD-LIF as a cell (Section 4.2)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax import neurons
from hdlif_jax.checks import Positive, check_fields
from hdlif_jax.nn.cell import NeuronCell, PerStepParam, emits_levels, spike_quantizer
from hdlif_jax.nn.module import Tick
from hdlif_jax.quantize import Bits, SpikeQuantizer


@dataclasses.dataclass(frozen=True)
class parallel:  # noqa: N801 - a class that is called as a function
    """Parallel HD-LIF (Section 4.2), without memory, with a learned threshold for each step.

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

    def __call__(self, num_steps: int, num_channels: int) -> "ParallelHDLIFCell":
        """The cell for so many steps; it has nothing per channel."""
        return ParallelHDLIFCell(num_steps, spike_quantizer(self.bits, self.scale))


class ParallelHDLIFCell(NeuronCell):
    """Parallel HD-LIF with θ_t = sigmoid(raw), from 0.5."""

    operations = 1  # one addition

    def __init__(self, num_steps: int, quantize: SpikeQuantizer):
        self.raw_threshold = PerStepParam(jnp.zeros(num_steps, jnp.float32))
        self.quantize = quantize
        self.emits = emits_levels(self, ParallelHDLIFCell, quantize)

    def start(self, x: jax.Array) -> tuple[()]:
        """There is no memory."""
        return ()

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """Zero, scalar: there is no memory."""
        return jnp.zeros((), jnp.float32)

    def membrane(self, state: Any, x: jax.Array, tick: Tick) -> jax.Array:
        """I_t."""
        return x

    def advance(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """See `neurons.parallel.step`."""
        threshold = jax.nn.sigmoid(self.raw_threshold[tick.t])
        return neurons.parallel.step(threshold, state, x, quantize=self.quantize)
