"""How the library's neurons are folded: their parameters at every step, and the pure steps of `hdlif_jax.neurons`.

Steps give the spikes before quantisation: a graph's levels are what Q makes of them.
"""

import functools

import jax
import jax.numpy as jnp

from hdlif_jax import neurons, nn
from hdlif_jax.deploy.folding import Folding, float64
from hdlif_jax.deploy.graph import Fields, NeuronState
from hdlif_jax.deploy.register import rule
from hdlif_jax.neurons import mem_bn
from hdlif_jax.neurons.adaptive_lif import AdaptiveParams, AdaptiveState
from hdlif_jax.neurons.base import NeuronParams
from hdlif_jax.neurons.glif import GLIFParams, GLIFState
from hdlif_jax.nn.cells.relu import rectified

AFFINE_OPERATIONS = 2  #: a multiplication and an addition per current, where an affine map stays with the neuron


@rule(nn.LIFCell)
def fold_lif(folding: Folding, cell: nn.LIFCell, name: str, source: str) -> None:
    """LIF with the options of its cell; to detach the reset means nothing without a gradient."""
    options, params = cell.options, cell.params()

    def step(fields: Fields, state: jax.Array, current: jax.Array) -> tuple[jax.Array, jax.Array]:
        return neurons.lif.step(
            NeuronParams(**fields),
            state,
            current,
            spike_function=options.surrogate,
            height=options.height,
            reset=options.reset,
            tie=options.tie,
            order=options.order,
            relative=options.relative,
        )

    height = float(params.threshold) if options.height is None else options.height
    traits = {"reset": options.reset, "tie": options.tie, "order": options.order}
    folding.neuron(name, source, cell, step, params._asdict(), height=height, kind="lif", traits=traits)


@rule(nn.AdaptiveLIFCell)
def fold_adaptive_lif(folding: Folding, cell: nn.AdaptiveLIFCell, name: str, source: str) -> None:
    """Adaptive LIF, whose two states are carried by name."""
    spike_function = cell.options.surrogate

    def step(fields: Fields, state: AdaptiveState, current: jax.Array) -> tuple[AdaptiveState, jax.Array]:
        return neurons.adaptive_lif.step(AdaptiveParams(**fields), state, current, spike_function=spike_function)

    folding.neuron(name, source, cell, step, cell.params()._asdict(), height=1.0, kind="adaptive-lif")


@rule(nn.GLIFCell)
def fold_glif(folding: Folding, cell: nn.GLIFCell, name: str, source: str) -> None:
    """GLIF, of which the conductance is one of each step."""
    params = cell.params_at(jnp.arange(folding.num_steps, dtype=jnp.int32))
    arrays = {field: array if array.ndim == 2 else array[None] for field, array in params._asdict().items()}
    folding.neuron(name, source, cell, glif_step, arrays, height=1.0, kind="glif")


@rule(nn.HDLIFCell)
def fold_hd_lif(folding: Folding, cell: nn.HDLIFCell, name: str, source: str) -> None:
    """HD-LIF: λ_t and θ_t."""
    params, emits = cell.params_at(jnp.arange(folding.num_steps, dtype=jnp.int32)), nn.SpikeInput(cell.quantize)
    folding.neuron(name, source, cell, hd_lif_step, params._asdict(), kind="hd-lif", emits=emits)


@rule(nn.ParallelHDLIFCell)
def fold_parallel(folding: Folding, cell: nn.ParallelHDLIFCell, name: str, source: str) -> None:
    """Parallel HD-LIF: θ_t."""
    params = {"threshold": jax.nn.sigmoid(cell.raw_threshold[...])}
    folding.neuron(name, source, cell, parallel_step, params, kind="parallel", emits=nn.SpikeInput(cell.quantize))


@rule(nn.MemBNHDLIFCell)
def fold_mem_bn(folding: Folding, cell: nn.MemBNHDLIFCell, name: str, source: str) -> None:
    """Mem-BN HD-LIF: HD-LIF on an affine map of its current (Eq. 8), which the layer before takes in if it can."""

    def at(t: jax.Array) -> tuple[mem_bn.Reparameterized, jax.Array]:
        params = cell.params_at(t)
        return mem_bn.reparameterize(params.decay, cell.mem_bn_params_at(t), cell.moments_at(t)), params.threshold

    folded, threshold = jax.vmap(at)(jnp.arange(folding.num_steps, dtype=jnp.int32))
    params = {"decay": folded.decay, "threshold": threshold}
    neuron = functools.partial(folding.neuron, name, source, cell, kind="hd-lif", emits=nn.SpikeInput(cell.quantize))
    if folding.takes_affine(source, per_step=True):
        folding.affine(source, float64(folded.current_scale), float64(folded.current_shift))
        neuron(hd_lif_step, params)
    else:
        affine = {"current_scale": folded.current_scale, "current_shift": folded.current_shift}
        neuron(affine_hd_lif_step, params | affine, operations=cell.operations + AFFINE_OPERATIONS)


@rule(nn.ReLUCell)
def fold_relu(folding: Folding, cell: nn.ReLUCell, name: str, source: str) -> None:
    """ReLU, whose state is empty."""
    ceiling = cell.options.ceiling

    def step(fields: Fields, state: NeuronState, current: jax.Array) -> tuple[NeuronState, jax.Array]:
        return state, rectified(current, ceiling)

    folding.neuron(name, source, cell, step, {}, kind="relu")


def hd_lif_step(fields: Fields, state: jax.Array, current: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See `neurons.hd_lif`; fields `decay` and `threshold`."""
    return neurons.hd_lif.step(NeuronParams(fields["decay"], fields["threshold"]), state, current)


def affine_hd_lif_step(fields: Fields, state: jax.Array, current: jax.Array) -> tuple[jax.Array, jax.Array]:
    """HD-LIF on Î = α* I − β* (Eq. 8); two fields more, `current_scale` and `current_shift`."""
    return hd_lif_step(fields, state, fields["current_scale"] * current + fields["current_shift"])


def glif_step(fields: Fields, state: GLIFState, current: jax.Array) -> tuple[GLIFState, jax.Array]:
    """See `neurons.glif`; the fields of `GLIFParams`."""
    return neurons.glif.step(GLIFParams(**fields), state, current)


def parallel_step(fields: Fields, state: NeuronState, current: jax.Array) -> tuple[NeuronState, jax.Array]:
    """See `neurons.parallel`; field `threshold`."""
    return neurons.parallel.step(fields["threshold"], state, current)
