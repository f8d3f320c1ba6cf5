"""What the neurons of one layer of a network do to gradients, in figures."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.analysis.meter import layout
from hdlif_jax.analysis.separability.alignment import spatial_alignment
from hdlif_jax.analysis.separability.cells import cell_at, neuron_of
from hdlif_jax.analysis.separability.contributions import Contributions, temporal_contributions
from hdlif_jax.analysis.separability.dispersion import OnlineError, distinct_values, online_error, separability_index
from hdlif_jax.analysis.separability.inputs import params_at
from hdlif_jax.analysis.separability.theorem import TheoremDeviation, theorem_deviation
from hdlif_jax.nn import NeuronCell, SpikingNetwork

NEURONS = 4096  # whose ε is sampled, with currents from N(0, 1), as a BatchNorm hands them on
RADIUS = 0.125  # of the finite difference, where spikes have no levels


def neuron_figures(model: SpikingNetwork, path: str, *, seed: int = 0) -> tuple[dict[str, Any], Contributions]:
    """What one layer's neurons do to gradients under random currents, on their own.

    Args:
      model: a network with the parameters that its neurons are to have, T ≥ 2.
      path: of the layer, such as "blocks.0.neuron1"; its neurons may be your own.
      seed: of the currents.

    Returns:
      The separability index and the distinct values of ε, the deviation from Theorem 4.2 (None for a cell whose leak
      nobody knows), the error of the online gradient, and the alignment along space; and the sample of ε.

    Raises:
      TypeError: neurons that influence each other.
      ValueError: there is no such layer, or T = 1.
    """
    cell, channels = cell_at(model, path), layout(model).shapes[path][-1]
    currents = jax.random.normal(
        jax.random.key(seed), (model.num_steps, max(1, NEURONS // channels), channels), jnp.float32
    )
    # With its quantiser, as this is about what the next layer receives; and not compiled, to see values while checking.
    neuron = neuron_of(cell, model.num_steps, quantized=True)
    membranes = neuron.currents(currents)[0]
    radius = RADIUS if cell.emits.quantizer is None else cell.emits.quantizer.scale / 2
    alignment = spatial_alignment(
        neuron.step, params_at(neuron.params, 0), membranes, state=neuron.start(membranes), radius=radius
    )
    sample, index, deviation, error = _sampled(*nnx.split(cell), model.num_steps, currents)
    return {
        "separability_index": float(index),
        "distinct_epsilon_values": len(distinct_values(sample.weights)),
        "theorem_deviation": None if deviation is None else _floats(deviation),
        "theorem_worst_deviation": None if deviation is None else float(deviation.worst),
        "online_error": _floats(error),
        "spatial_alignment": {
            "cosine": float(alignment.cosine),
            "relative_error": float(alignment.relative_error),
            "radius": radius,
        },
    }, sample


@functools.partial(jax.jit, static_argnums=(0, 2))  # compiled once for all parameters of a kind of cell
def _sampled(
    graphdef: Any, arrays: Any, num_steps: int, currents: jax.Array
) -> tuple[Contributions, jax.Array, TheoremDeviation | None, OnlineError]:
    cell: NeuronCell = nnx.merge(graphdef, arrays, copy=True)
    neuron = neuron_of(cell, num_steps)
    currents = neuron.currents(currents)
    sample = temporal_contributions(neuron.step, neuron.params, currents, state=neuron.start(currents[0]))
    deviation = None if neuron.decay is None else theorem_deviation(sample.weights, neuron.decay)
    return sample, separability_index(sample.weights), deviation, online_error(sample.weights, sample.spikes)


def _floats(figures: TheoremDeviation | OnlineError) -> dict[str, float]:
    return {name: float(value) for name, value in figures._asdict().items()}
