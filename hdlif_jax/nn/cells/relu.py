"""ReLU as a cell, for networks without spikes: teachers, and networks that become spiking ones."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Positive, check_fields
from hdlif_jax.nn.cell import NeuronCell, SpikeInput, spike_quantizer
from hdlif_jax.nn.module import Tick


@dataclasses.dataclass(frozen=True)
class relu:  # noqa: N801 - a class that is called as a function
    """max(I, 0), at most `ceiling`, without a memory: neurons of a network without spikes, usually of one time-step.

    Attributes:
      ceiling: None for none.

    Raises:
      ValueError: `ceiling` is not positive.
    """

    ceiling: Positive | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_steps: int, num_channels: int) -> "ReLUCell":
        """The cell; it has nothing per step or channel."""
        return ReLUCell(self)


class ReLUCell(NeuronCell):
    """ReLU with the options of `relu`; it emits real numbers."""

    emits = SpikeInput(spike_quantizer(None, 1.0))
    operations = 1  # a comparison

    def __init__(self, options: relu = relu()):
        self.options = options

    def start(self, x: jax.Array) -> tuple[()]:
        """There is no memory."""
        return ()

    def membrane(self, state: Any, x: jax.Array, tick: Tick) -> jax.Array:
        """I_t."""
        return x

    def advance(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """`[B, ...]` to the same shape; the gradient is 0 at 0 and at the ceiling."""
        return state, rectified(x, self.options.ceiling)


def rectified(x: jax.Array, ceiling: float | None) -> jax.Array:
    """max(x, 0), at most `ceiling`."""
    positive = jnp.where(x > 0, x, 0)
    return positive if ceiling is None else jnp.where(positive < ceiling, positive, ceiling)
