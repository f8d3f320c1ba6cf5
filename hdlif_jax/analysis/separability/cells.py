"""The neurons of a network's cell as a step function, with what they have learned, for the single-neuron analyses."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.analysis.meter import layout
from hdlif_jax.neurons import NeuronParams, NeuronStep, hd_lif, mem_bn
from hdlif_jax.nn import Form, MemBNHDLIFCell, NeuronCell, SpikingNetwork, Tick
from hdlif_jax.nn.arrays import check_num_steps
from hdlif_jax.nn.declared import holds
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_model
from hdlif_jax.quantize import SpikeQuantizer


class CellNeuron(NamedTuple):
    """A cell's neurons, on currents `[T, N, C]`.

    Attributes:
      step: their dynamics in inference form.
      params: over time, each `[T, ...]`; mostly the steps themselves, by which a cell finds its own parameters.
      start: the state before the first step, from the first current `[N, C]`.
      currents: from what the cell reads to what enters the membrane with weight one, both `[T, N, C]`.
      decay: λ_t of Theorem 4.2, `[T]` or `[T, 1, C]`, 0 without memory; None where the cell does not say it.
    """

    step: NeuronStep
    params: Any
    start: Callable[[jax.Array], Any]
    currents: Callable[[jax.Array], jax.Array]
    decay: jax.Array | None


def neuron_of(cell: NeuronCell, num_steps: int, *, quantized: bool = False) -> CellNeuron:
    """A cell's neurons for `temporal_contributions` and `spatial_alignment`.

    Mem-BN HD-LIF is taken as what it is in inference, HD-LIF with leak λ̂_t on an affine current (Eq. 8), as Theorem 4.2
    speaks of the membrane that is compared with the threshold.

    Args:
      cell: of the library or your own, with the parameters that it is to have.
      num_steps: T.
      quantized: whether its spikes are quantised, where it has a `SpikeQuantizer` as `quantize`.

    Raises:
      TypeError: what is no cell.
      ValueError: a cell of another number of steps.

    Example:
      `neuron = neuron_of(model.blocks[0].neuron1, 4)`, then
      `temporal_contributions(neuron.step, neuron.params, currents, state=neuron.start(currents[0]))` with
      `currents = neuron.currents(...)`.
    """
    check_num_steps(cell, num_steps)
    given: Any = cell
    copy: Any = in_form(given, Form(train=False))
    quantizer = getattr(copy, "quantize", None)
    if isinstance(quantizer, SpikeQuantizer) and not quantized:
        copy.quantize = dataclasses.replace(quantizer, softness=None)
    steps = jnp.arange(num_steps, dtype=jnp.int32)
    if type(copy) is MemBNHDLIFCell:  # a subclass may do anything to the membrane
        return _folded(copy, steps)

    def step(t: jax.Array, state: Any, current: jax.Array, /) -> tuple[Any, jax.Array]:
        outputs: tuple[Any, jax.Array] = copy(state, current, Tick(t))
        return outputs

    return CellNeuron(step, steps, copy.start, lambda currents: currents, _decay(copy, num_steps))


def cell_at(model: SpikingNetwork, path: str) -> NeuronCell:
    """The layer of neurons with this path.

    Raises:
      TypeError: what is no model.
      ValueError: there is none.
    """
    cells = _cells(model)
    if path not in cells:
        raise ValueError(f"{path!r} is no layer of neurons of the network; it has {', '.join(cells)}")
    return cells[path]


def first_layer(model: SpikingNetwork, kind: type[NeuronCell] = NeuronCell) -> str:
    """Path of the first layer of neurons, in the order in which they run, that is of a kind.

    Raises:
      TypeError: what is no model.
      ValueError: there is none.
    """
    cells = _cells(model)
    for path in layout(model).shapes:
        if isinstance(cells[path], kind):
            return path
    raise ValueError(f"the network has no {kind.__name__}; its layers of neurons are {', '.join(cells)}")


def _cells(model: SpikingNetwork) -> dict[str, NeuronCell]:
    check_model(model)
    return {path: module for path, module in modules(model) if isinstance(module, NeuronCell)}


def _decay(cell: NeuronCell, num_steps: int) -> jax.Array | None:
    """λ_t `[T]` or, by channel, `[T, 1, C]`, where the cell says it of the dynamics that it has."""
    if not holds(cell, "decay_at", "advance", "__call__"):
        return None
    leaks = [leak for t in range(num_steps) if (leak := cell.decay_at(t)) is not None]
    if not leaks:
        return None
    decay = jnp.stack(leaks)
    return decay if decay.ndim == 1 else decay[:, None, :]


def _folded(cell: MemBNHDLIFCell, steps: jax.Array) -> CellNeuron:
    """Mem-BN HD-LIF in its inference form (Eqs. 7-8)."""

    def at(t: jax.Array) -> tuple[NeuronParams, mem_bn.Reparameterized]:
        params = cell.params_at(t)
        folded = mem_bn.reparameterize(params.decay, cell.mem_bn_params_at(t), cell.moments_at(t))
        folded = jax.tree.map(lambda leaf: leaf[None, :], folded)
        return NeuronParams(folded.decay, params.threshold.reshape(1, 1)), folded

    params, folded = jax.vmap(at)(steps)

    def step(params_t: NeuronParams, potential: jax.Array, current: jax.Array, /) -> tuple[jax.Array, jax.Array]:
        return hd_lif.step(params_t, potential, current, quantize=cell.quantize)

    def currents(currents: jax.Array) -> jax.Array:
        return folded.current_scale * currents + folded.current_shift

    return CellNeuron(step, params, jnp.zeros_like, currents, params.decay)
