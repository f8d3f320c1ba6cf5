"""Cells: what has a state of its own and reads the time-step. Neurons are cells, and so is dropout."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.module import Stateful, Tick
from hdlif_jax.ops import MAX_LEVEL
from hdlif_jax.quantize import SpikeQuantizer


class SpikeInput(NamedTuple):
    """What a layer knows of the spikes that it reads, and a neuron of those that it emits.

    Attributes:
      quantizer: Q of the neurons before it; None for binary spikes, which are 0 or of one height.
      pooled: number of spikes averaged into one input.
    """

    quantizer: SpikeQuantizer | None
    pooled: int = 1

    @property
    def bits(self) -> int | None:
        """Bits of one spike; None where it is not quantised."""
        if self.quantizer is None:
            return 1
        return None if self.quantizer.softness is None else self.quantizer.bits

    @property
    def unit(self) -> float | None:
        """Size u of one level, where inputs are small integers times u; None where they are not."""
        if self.quantizer is None or type(self.quantizer) is not SpikeQuantizer:  # a subclass may have any levels
            return None
        if self.quantizer.softness != 0 or self.quantizer.max_level * self.pooled > MAX_LEVEL:
            return None
        return self.quantizer.scale / self.pooled

    @property
    def off_grid(self) -> "SpikeInput":
        """The same spikes after something that leaves no levels, such as dropout, which scales up what it keeps."""
        if self.quantizer is None:
            return self
        return self._replace(quantizer=dataclasses.replace(self.quantizer, softness=None))


BINARY = SpikeInput(None)  #: spikes of 0 or one height


class PerStepParam(nnx.Param[jax.Array]):
    """A parameter whose leading axis is time, `[T, ...]`; an online update at step t moves only entry t."""


class PerStepStat(nnx.BatchStat[jax.Array]):
    """A running statistic whose leading axis is time, `[T, ...]`."""


class Setting(nnx.BatchStat[jax.Array]):
    """A number that whoever trains sets, such as a threshold that is found, and that no step moves.

    It lies among the statistics, which outlive a sequence and have no gradient, and is not one of them.
    """


def has_running_statistics(module: Any) -> bool:
    """Whether a module itself holds statistics that training steps move."""
    return any(isinstance(leaf, nnx.BatchStat) and not isinstance(leaf, Setting) for leaf in vars(module).values())


class Cell(Stateful):
    """A module without stateful parts of its own; write `advance`, and `start` if v_0 is not zeros of x's shape.

    A cell that is no neuron, and costs nothing in inference, says `operations = 0`; neurons are `NeuronCell`s.
    """

    def start(self, x: jax.Array) -> Any:
        """The state before the first step, any pytree of arrays, from the shape of the first input `[B, ...]`."""
        return jnp.zeros_like(x)

    def advance(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One step, from x_t `[B, ...]` to the new state and y_t."""
        raise TypeError(f"{type(self).__name__} has no advance(state, x, tick) -> (state, y); write it")

    def __call__(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One step; a state of None starts a sequence."""
        return self.advance(self.start(x) if state is None else state, x, tick)


class UndeclaredError(TypeError, AttributeError):
    """A neuron cell does not say something that others go by."""


class _Undeclared:
    """Stands for an attribute that a class of cells has to set."""

    def __init__(self, name: str, how: str):
        self._name, self._how = name, how

    def __get__(self, cell: Any, kind: type) -> Any:
        if cell is None:
            return self
        raise UndeclaredError(f"{kind.__name__} does not say its {self._name}; set {self._how} in the class")


class NeuronCell(Cell):
    """A layer of neurons: a pure step function with its learnable parameters, indexed by time.

    Attributes:
      emits: what the layer behind it reads; the integer forward, costs and folding go by it.
      operations: NOPs of a neuron and step, such as leak, charge and reset; costs go by it. A class that writes
        `advance` anew says it, and what it emits, anew.
    """

    emits: SpikeInput = _Undeclared("emits", "emits = nn.BINARY, or nn.SpikeInput(quantizer) for levels,")  # type: ignore[assignment]
    operations: int = _Undeclared("operations", "operations = 3 (leak, charge and reset), say,")  # type: ignore[assignment]

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """λ_t, what a step leaves of the membrane in inference, scalar or `[C]`; None where it is no such factor."""
        return None

    def membrane(self, state: Any, x: jax.Array, tick: Tick) -> jax.Array:
        """m_t `[B, ..., C]` before it fires and resets, of the state before the step; for looking inside alone."""
        raise TypeError(f"{type(self).__name__} has no membrane(state, x, tick) -> m; write it")

    def __call__(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: I_t `[B, ..., C]` to s_t `[B, ..., C]`; a state of None starts a sequence.

        Raises:
          AssertionError: a current that is not floating, such as spikes as integers.
        """
        chex.assert_type(x, float, custom_message="the current of a neuron is floating")
        # Membranes are float32 whatever the currents are: rounding would add up over the steps.
        state, spikes = super().__call__(state, x.astype(jnp.float32), tick)
        return state, spikes.astype(x.dtype)


def emits_levels(cell: NeuronCell, kind: type[NeuronCell], quantizer: SpikeQuantizer) -> SpikeInput:
    """What cells of a class emit, of which one may be of a subclass.

    Args:
      cell: to say it of.
      kind: the class whose code emits the levels of `quantizer`.
      quantizer: Q.

    Returns:
      Its levels; of a class that has written the code anew unquantised spikes, until it sets `emits` itself: levels
      that are not there would be rounded to by layers that compute in integers.
    """
    runs = type(cell)
    if runs.advance is kind.advance and runs.__call__ is kind.__call__:
        return SpikeInput(quantizer)
    return SpikeInput(dataclasses.replace(quantizer, softness=None))


def emitted(neuron: NeuronCell, dropout: Cell | None) -> SpikeInput:
    """What the layer behind neurons reads, of whose spikes some may be dropped."""
    return neuron.emits if dropout is None else neuron.emits.off_grid


CellFactory = Callable[[int, int], NeuronCell]  #: `(num_steps, num_channels) -> cell`


def spike_quantizer(bits: int | None, scale: float) -> SpikeQuantizer:
    """Q of n bits with levels of size `scale`; None bits are unquantised spikes."""
    return SpikeQuantizer(scale, softness=None) if bits is None else SpikeQuantizer(scale, bits)
