"""Presynaptic traces: what a neuron has sent of late, as OTTT and NDOT teach the weights behind it with."""

import dataclasses
import inspect
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from hdlif_jax.checks import check_fields
from hdlif_jax.nn import LIFCell, NeuronCell, Tick
from hdlif_jax.nn.declared import holds
from hdlif_jax.nn.intercept import original
from hdlif_jax.quantize import round_to

# Classes that are called as functions and named as such.
# ruff: noqa: N801


class Trace(Protocol):
    """How a trace â_t follows the spikes of a layer of neurons; it is a constant to every gradient."""

    def refusal(self, cell: NeuronCell) -> str | None:
        """Why these neurons have no such trace and what to use, in a line; None where they have one."""

    def start(self, spikes: jax.Array) -> Any:
        """The memory before the first step, any pytree of arrays, from the shape of the spikes `[B, ..., C]`."""

    def advance(
        self, cell: NeuronCell, memory: Any, state: Any, spikes: jax.Array, tick: Tick
    ) -> tuple[Any, jax.Array]:
        """The new memory and â_t `[B, ..., C]`, from the cell's state after step t and s_t `[B, ..., C]`."""


def check_trace(trace: Any) -> None:
    """Raises TypeError for what is no trace, such as its class."""
    if inspect.isclass(trace):
        raise TypeError(f"trace={trace.__name__} is not called yet; write {trace.__name__}()")
    if not callable(getattr(trace, "advance", None)) or not callable(getattr(trace, "refusal", None)):
        raise TypeError(f"trace={trace!r} is none; give one such as learning.decay_trace(), or as learning.Trace says")


@dataclasses.dataclass(frozen=True)
class decay_trace:
    """The trace of OTTT: â_t = λ_t â_{t−1} + s_t, with the neurons' own leak λ_t (Xiao et al., NeurIPS 2022)."""

    def refusal(self, cell: NeuronCell) -> str | None:
        """See `Trace`; there is one for every neuron that says its leak."""
        if not holds(cell, "decay_at", "advance") or cell.decay_at(0) is None:
            return (
                f"{original(type(cell)).__name__} says no leak λ (decay_at) that a trace could decay by; use nn.lif()"
            )
        return _delay(cell)

    def start(self, spikes: jax.Array) -> jax.Array:
        """â_0 = 0."""
        return jnp.zeros_like(spikes)

    def advance(
        self, cell: NeuronCell, memory: jax.Array, state: Any, spikes: jax.Array, tick: Tick
    ) -> tuple[jax.Array, jax.Array]:
        """See `Trace`; the memory is the trace itself."""
        trace = _decay(cell, spikes, tick) * memory + spikes
        return trace, trace


class RatioMemory(NamedTuple):
    """What the trace of NDOT remembers, each `[B, ..., C]`.

    Attributes:
      trace: â_{t−1}.
      potential: what the ratio divides by, of the step before.
      ratio: e_{t−1}.
    """

    trace: jax.Array
    potential: jax.Array
    ratio: jax.Array


@dataclasses.dataclass(frozen=True)
class ratio_trace:
    """The trace of NDOT, whose factor is the ratio of successive potentials (Jiang et al., ICML 2024).

    â_t = e ⊙ â_{t−1} + s_t, where e is clipped to [−λ, λ], and λ where the ratio is of nothing. The spikes in e are
    those that neurons send; where some are dropped, the authors' code goes by those that are left.

    Attributes:
      variant: "code", as the published numbers were made: e_t = (v_t − θ s_t) / (v_{t−1} − θ s_{t−1}) of the step
        itself, with v after the reset; "paper", as it is written: e_{t−1} = v_{t−1} / v_{t−2} of the step before.

    Raises:
      ValueError: an unknown variant.
    """

    variant: Literal["code", "paper"] = "code"

    def __post_init__(self) -> None:
        check_fields(self)

    def refusal(self, cell: NeuronCell) -> str | None:
        """See `Trace`; there is one for the LIF of soft reset."""
        kind: Any = original(type(cell))
        if not isinstance(cell, LIFCell) or kind.advance is not LIFCell.advance:
            what = kind.__name__
        elif cell.options.reset != "soft":
            what = f"reset={cell.options.reset!r}"
        elif cell.options.order == "charge-reset-fire":
            what = f"order={cell.options.order!r}"
        else:
            return _delay(cell)
        return f"{what} has no ratio of potentials as NDOT takes it; use nn.lif(reset='soft'), or decay_trace()"

    def start(self, spikes: jax.Array) -> RatioMemory:
        """Zeros."""
        zeros = jnp.zeros_like(spikes)
        return RatioMemory(zeros, zeros, zeros)

    def advance(
        self, cell: NeuronCell, memory: RatioMemory, state: Any, spikes: jax.Array, tick: Tick
    ) -> tuple[RatioMemory, jax.Array]:
        """See `Trace`."""
        assert isinstance(cell, LIFCell)  # `refusal` was asked
        decay, potential = _decay(cell, spikes, tick), state
        if self.variant == "code":
            potential = potential - cell.params().threshold * _fires(cell, spikes)
        ratio = _clipped_ratio(potential, memory.potential, decay)
        trace = (ratio if self.variant == "code" else memory.ratio) * memory.trace + spikes
        return RatioMemory(trace, potential, ratio), trace


def _delay(cell: NeuronCell) -> str | None:
    """Why no online rule teaches the weights before neurons that fire before they charge; None for others."""
    if not isinstance(cell, LIFCell) or cell.options.order != "fire-charge":
        return None
    return (
        f"order={cell.options.order!r} fires on what the step before left, which is a constant to an online rule, so "
        "that no weights before it learn; use learning.stbp(), or order='charge-fire'"
    )


def _clipped_ratio(potential: jax.Array, before: jax.Array, bound: jax.Array) -> jax.Array:
    known = before != 0
    ratio = potential / jnp.where(known, before, 1)
    return jnp.where(known & ~jnp.isnan(ratio), jnp.clip(ratio, -bound, bound), bound)


def _fires(cell: LIFCell, spikes: jax.Array) -> jax.Array:
    """Spikes in units of their height, which a form's type may have rounded: 1 is what the reset took θ off for."""
    height = cell.params().threshold if cell.options.height is None else jnp.float32(cell.options.height)
    rounded = round_to(height, "float32" if cell.form is None else cell.form.dtype)
    return jnp.where(spikes == rounded, 1, spikes / height)


def _decay(cell: NeuronCell, spikes: jax.Array, tick: Tick) -> jax.Array:
    """λ_t, scalar or as an array that goes with spikes `[B, ..., C]`."""
    decay = cell.decay_at(tick.t)
    assert decay is not None  # `refusal` was asked
    return decay.reshape((1,) * (spikes.ndim - decay.ndim) + decay.shape) if decay.ndim else decay
