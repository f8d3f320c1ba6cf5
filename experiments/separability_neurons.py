"""The neurons of a trained network's layer, on their own: the models to compare, and what each does to gradients."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.analysis.separability import (
    Contributions,
    distinct_values,
    online_error,
    separability_index,
    spatial_alignment,
    temporal_contributions,
    theorem_deviation,
)
from hdlif_jax.neurons import NeuronParams, NeuronState, hd_lif, lif, mem_bn, parallel
from hdlif_jax.nn import Params, Variables
from hdlif_jax.quantize import SpikeQuantizer
from hdlif_jax.training import ModelConfig

NEURONS = 4096  # whose ε is sampled, with currents from N(0, 1), as a BatchNorm hands them on


class AffineParams(NamedTuple):
    """A Mem-BN neuron in its inference form: vanilla HD-LIF on an affine current (Eq. 8); each `[T, 1, C]`."""

    neuron: NeuronParams
    current_scale: jax.Array
    current_shift: jax.Array


class Neuron(NamedTuple):
    """One layer's neuron with the parameters it has learned.

    Attributes:
      step: without spike quantisation.
      params: over time, each `[T, 1, C or 1]`.
      decay: λ_t of Theorem 4.2, the same shape; 0 without memory.
    """

    step: Callable[[Any, NeuronState, jax.Array], tuple[NeuronState, jax.Array]]
    params: Any
    decay: jax.Array


class NeuronModel(NamedTuple):
    """A neuron model to be compared.

    Attributes:
      neuron: at the first position of each block.
      parallel: whether the second position has Parallel HD-LIF.
      of_layer: `(params, batch_stats, T) -> Neuron`, of one layer's parameters.
    """

    neuron: Literal["lif", "hd-lif", "mem-bn"]
    parallel: bool
    of_layer: Callable[[Params, Params, int], Neuron]

    def options(self, base: ModelConfig) -> ModelConfig:
        """A network like `base` of these neurons; a VGG has no second position, so there all or none are parallel."""
        if self.parallel and base.architecture.startswith("vgg"):
            return dataclasses.replace(base, neuron="parallel", parallel=None)
        return dataclasses.replace(base, neuron=self.neuron, parallel=self.parallel)

    def first_layer(self, params: Params) -> tuple[Any, ...]:
        """Path in the network's parameters of its first layer of these neurons, whose ε is sampled."""
        if "units" in params:
            return "units", 0, "neuron"
        return "blocks", 0, "neuron2" if self.parallel else "neuron1"


def _affine_step(params_t: AffineParams, state: NeuronState, current: jax.Array) -> tuple[NeuronState, jax.Array]:
    return hd_lif.step(params_t.neuron, state, params_t.current_scale * current + params_t.current_shift)


def _lif(params: Params, _: Params, num_steps: int) -> Neuron:
    learned = NeuronParams(jax.nn.sigmoid(params["raw_decay"]), params["threshold"])
    over_time = jax.tree.map(lambda leaf: jnp.full((num_steps, 1, 1), leaf), learned)
    return Neuron(lif.step, over_time, over_time.decay)


def _hd_lif(params: Params, _: Params, num_steps: int) -> Neuron:
    learned = NeuronParams(params["raw_decay"], params["raw_threshold"])
    over_time = jax.tree.map(lambda raw: jax.nn.sigmoid(raw).reshape(num_steps, 1, 1), learned)
    return Neuron(hd_lif.step, over_time, over_time.decay)


def _parallel(params: Params, _: Params, num_steps: int) -> Neuron:
    threshold = jax.nn.sigmoid(params["raw_threshold"]).reshape(num_steps, 1, 1)
    return Neuron(parallel.step, threshold, jnp.zeros_like(threshold))


def _mem_bn(params: Params, batch_stats: Params, num_steps: int) -> Neuron:
    learned = mem_bn.MemBNParams(
        jax.nn.sigmoid(params["raw_membrane_weight"])[:, None],
        jax.nn.sigmoid(params["raw_normalized_weight"])[:, None],
        params["scale"],
        params["shift"],
    )
    moments = mem_bn.Moments(batch_stats["mean"], batch_stats["var"])
    folded = mem_bn.reparameterize(jax.nn.sigmoid(params["raw_decay"])[:, None], learned, moments)
    decay, scale, shift = (part[:, None, :] for part in folded)
    threshold = jax.nn.sigmoid(params["raw_threshold"]).reshape(num_steps, 1, 1)
    return Neuron(_affine_step, AffineParams(NeuronParams(decay, threshold), scale, shift), decay)


_contributions = jax.jit(temporal_contributions, static_argnums=0)  # compiled once for all seeds
_deviation = jax.jit(theorem_deviation)
_online_error = jax.jit(online_error)
_index = jax.jit(separability_index)

MODELS = {
    "lif": NeuronModel("lif", False, _lif),
    "hd-lif": NeuronModel("hd-lif", False, _hd_lif),
    "parallel": NeuronModel("hd-lif", True, _parallel),
    "mem-bn": NeuronModel("mem-bn", False, _mem_bn),
}


def neuron_figures(
    model: NeuronModel, variables: Variables, num_steps: int, quantizer: SpikeQuantizer, seed: int
) -> tuple[dict[str, Any], Contributions]:
    """What one layer's neurons do to gradients under random currents, and the sample of ε."""
    params, batch_stats = (_at(tree, model.first_layer(variables.params)) for tree in variables)
    neuron = model.of_layer(params, batch_stats, num_steps)
    channels = max(leaf.shape[-1] for leaf in jax.tree.leaves(neuron.params))
    currents = jax.random.normal(jax.random.key(seed), (num_steps, NEURONS // channels, channels))
    sample = _contributions(neuron.step, neuron.params, currents)
    deviation = _deviation(sample.weights, neuron.decay)
    error = _online_error(sample.weights, sample.spikes)

    def emit(params_t, state, current):  # what the next layer receives: LIF's spikes have one level and no quantiser
        state, spikes = neuron.step(params_t, state, current)
        return state, spikes if model.neuron == "lif" else quantizer(spikes)

    alignment = spatial_alignment(
        emit, jax.tree.map(lambda leaf: leaf[0], neuron.params), currents[0], radius=quantizer.scale / 2
    )
    return {
        "separability_index": float(_index(sample.weights)),
        "distinct_epsilon_values": len(distinct_values(sample.weights)),
        "theorem_deviation": {name: float(value) for name, value in deviation._asdict().items()},
        "theorem_worst_deviation": float(deviation.worst),
        "online_error": {name: float(value) for name, value in error._asdict().items()},
        "spatial_alignment": {
            "cosine": float(alignment.cosine),
            "relative_error": float(alignment.relative_error),
            "radius": quantizer.scale / 2,
        },
    }, sample


def _at(tree: Params, path: tuple[Any, ...]) -> Params:
    for name in path:
        tree = tree.get(name, {})
    return tree
