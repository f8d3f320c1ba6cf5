"""The inference columns of the paper's Table 2, of a network before and after its deployment."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import accounting, nn
from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.graph import Conv, Function, Linear
from hdlif_jax.nn.intercept import modules
from hdlif_jax.quantize import WeightKind


class InferenceCosts(NamedTuple):
    """The inference columns of the paper's Table 2.

    Attributes:
      parameters_mb: memory of the weights as the paper counts it, 10⁶ bytes.
      sops_m: synaptic operations per input, 10⁶: pairs of a spike and a weight that are both not zero.
      nops_m: neural operations per input, 10⁶.
      power_mj: energy of the synaptic operations per input, in millijoules.
    """

    parameters_mb: float
    sops_m: float
    nops_m: float
    power_mj: float


class DeploymentCosts(NamedTuple):
    """What deployment changes.

    Attributes:
      before: the checkpoint as it stands, with float32 parameters and spikes.
      after: the deployed network, with packed weights and levels.
    """

    before: InferenceCosts
    after: InferenceCosts


def deployment_costs(model: nn.SpikingNetwork, folded: Folded, batches: Iterable[jax.Array]) -> DeploymentCosts:
    """Counts on the spikes of the folded network, which are those of the model.

    Args:
      model: the network.
      folded: from it.
      batches: inputs as the model takes them, static `[B, ...]` or sequences `[T, B, ...]`.

    Raises:
      TypeError: a layer by a rule of your own has a kernel that nobody counts.
      ValueError: there is no batch.
    """
    _check_functions(folded)
    sops, sizes = _count(folded, batches)
    neurons, steps = folded.graph.neurons, folded.graph.num_steps
    declared = {path: cell.operations for path, cell in modules(model) if isinstance(cell, nn.NeuronCell)}
    bits = {neuron.name: neuron.bits for neuron in neurons}
    readers = [(layer.name, layer.reads) for layer in folded.graph.synapses if layer.reads is not None]

    def costs(bytes_: float, operations: Mapping[str, int], power_mj: float) -> InferenceCosts:
        nops = sum(
            accounting.neural_operations(sizes[neuron.name], operations[neuron.name], steps) for neuron in neurons
        )
        return InferenceCosts(bytes_ / 1e6, sum(sops.values()) / 1e6, nops / 1e6, power_mj)

    folded_operations = {neuron.name: neuron.operations for neuron in neurons}
    return DeploymentCosts(
        costs(
            sum(_bytes(folded, layer, model, "float") for layer in folded.graph.synapses),
            folded_operations | declared,
            accounting.accumulate_mj(sum(sops.values())),
        ),
        costs(
            sum(_bytes(folded, layer, model, None) for layer in folded.graph.synapses),
            folded_operations,
            sum(accounting.accumulate_mj(sops[layer], bits[neuron]) for layer, neuron in readers),
        ),
    )


def _check_functions(folded: Folded) -> None:
    """Raises TypeError for a layer without memory that may multiply with a kernel, whose operations nobody counts."""
    for node in folded.graph.nodes:
        if isinstance(node, Function):
            for field, array in folded.arrays.get(node.name, {}).items():
                if sum(length > 1 for length in array.shape) > 1:
                    raise TypeError(
                        f"{node.name} ({node.kind}) has a {field} of shape {array.shape}, whose operations nobody "
                        "counts; let its rule emit a graph.Conv or graph.Linear"
                    )


def _bytes(folded: Folded, layer: Conv | Linear, model: nn.SpikingNetwork, kind: WeightKind | None) -> float:
    """Memory of a layer's weights and of the bias that it has without norms, in a kind or, for None, in its own."""
    kernel = folded.arrays[layer.name]["kernel"]
    module = dict(modules(model)).get(layer.name)
    bias = getattr(module, "bias", None)
    own: WeightKind = "float" if kernel.dtype != np.int8 else getattr(module, "weights", "ternary")
    return accounting.layer_bytes(kernel.shape, kind or own, 0 if bias is None else bias.size).paper


def _count(folded: Folded, batches: Iterable[jax.Array]) -> tuple[dict[str, float], dict[str, int]]:
    """SOPs per input of every layer that reads spikes, and the number of neurons of every spiking layer."""
    graph = folded.graph

    @jax.jit
    def count(arrays: execute.Arrays, x: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        current = execute.encode(graph, "float", arrays, x)
        _, values = execute.advance(graph, "float", arrays, {}, current, 0, graph.num_steps)
        operations = {
            layer.name: graph.num_steps // len(values[layer.source]) * _operations(layer, arrays, values[layer.source])
            for layer in graph.synapses
            if layer.reads is not None
        }
        return operations, {neuron.name: jnp.int32(values[neuron.name][0, 0].size) for neuron in graph.neurons}

    totals: dict[str, float] = {}
    sizes: dict[str, int] = {}
    num_inputs = 0
    for batch in batches:
        is_sequence = batch.ndim == len(graph.input_shape) + 2
        counted, found = count(folded.arrays, batch if is_sequence else batch[None])
        totals = {layer: totals.get(layer, 0.0) + float(number) for layer, number in counted.items()}
        sizes = {neuron: int(size) for neuron, size in found.items()}
        num_inputs += batch.shape[1 if is_sequence else 0]
    if not num_inputs:
        raise ValueError("there is no batch to count operations on; give at least one")
    return {layer: total / num_inputs for layer, total in totals.items()}, sizes


def _operations(layer: Conv | Linear, arrays: execute.Arrays, spikes: jax.Array) -> jax.Array:
    """Σ conv(1[s ≠ 0], 1[Ŵ ≠ 0]) over a batch."""
    kernel = arrays[layer.name]["kernel"]
    ones = {"kernel": (kernel != 0).astype(jnp.float32), "bias": jnp.zeros((1, kernel.shape[-1]))}
    active = {layer.source: (spikes != 0).astype(jnp.float32)}
    counted, _ = execute.run_nodes((layer,), "float", {layer.name: ones}, {}, active, len(spikes))
    return jnp.sum(counted[layer.name])
