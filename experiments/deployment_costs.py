"""The paper's Table 2 columns of a network before and after deployment, the latter counted on the folded network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.table

from experiments.costs import real_batches
from hdlif_jax import analysis, nn
from hdlif_jax.analysis.costs import ACCUMULATE_PJ, BYTES_PER_WEIGHT, FULL_BITS
from hdlif_jax.analysis.meter import synapses
from hdlif_jax.data import Dataset
from hdlif_jax.deploy import execute
from hdlif_jax.deploy import graph as ops
from hdlif_jax.deploy.fold import Folded


class Costs(NamedTuple):
    """The inference columns of the paper's Table 2.

    Attributes:
      parameters_mb: memory of the weights as the paper counts it, 10⁶ bytes.
      sops_m: synaptic operations per input, 10⁶.
      nops_m: neural operations per input, 10⁶.
      power_mj: energy of the synaptic operations per input.
    """

    parameters_mb: float
    sops_m: float
    nops_m: float
    power_mj: float


def costs_before(model: nn.SpikingNetwork, dataset: Dataset, images: int) -> Costs:
    """The checkpoint as it stands: float32 parameters and spikes."""
    measured = analysis.measure(model, real_batches(dataset, images)).summary()
    weights = sum(synapse.kernel.size + getattr(synapse, "bias", np.zeros(0)).size for _, synapse in synapses(model))
    return Costs(4 * weights / 1e6, measured["sops_m"], measured["nops_m"], measured["sops_m"] * ACCUMULATE_PJ * 1e-3)


def costs_after(
    model: nn.SpikingNetwork, folded: Folded, options: nn.SpikingOptions, dataset: Dataset, images: int
) -> Costs:
    """The deployed network, counted on its own levels and packed weights."""
    graph = folded.graph
    bytes_paper = sum(
        synapse.kernel.size * BYTES_PER_WEIGHT[synapse.weights] + 4 * getattr(synapse, "bias", np.zeros(0)).size
        for _, synapse in synapses(model)
    )

    @jax.jit
    def operations(arrays, x):
        current = execute.encode(graph, "float", arrays, x)
        _, values = execute.advance(graph, "float", arrays, {}, current, 0, graph.num_steps)
        total = jnp.float32(0)
        for node in graph.body:
            if isinstance(node, ops.Conv | ops.Linear) and reads_spikes(folded, node):
                mask = {f"{node.name}.kernel": (arrays[f"{node.name}.kernel"] != 0).astype(jnp.float32)}
                mask[f"{node.name}.bias"] = jnp.zeros((1, mask[f"{node.name}.kernel"].shape[-1]))
                spikes = {node.source: (values[node.source] != 0).astype(jnp.float32)}
                counted, _ = execute.run_nodes((node,), "float", mask, {}, spikes, graph.num_steps)
                total += jnp.sum(counted[node.name])
        return total, {neuron.name: values[neuron.name][0, 0].size for neuron in graph.neurons}

    total, count = 0.0, 0
    for batch in real_batches(dataset, images):
        batch_total, sizes = operations(folded.arrays, batch if batch.ndim == 5 else batch[None])
        total, count = total + float(batch_total), count + batch.shape[-4]
    nops = sum(int(sizes[neuron.name]) * operations_of(folded, neuron) for neuron in graph.neurons) * graph.num_steps
    bits = options.spike_bits if options.neuron != "lif" else None
    discount = 1.0 if bits is None else bits / FULL_BITS
    sops_m = total / count / 1e6
    return Costs(bytes_paper / 1e6, sops_m, nops / 1e6, sops_m * ACCUMULATE_PJ * 1e-3 * discount)


def reads_spikes(folded: Folded, node: ops.Conv | ops.Linear) -> bool:
    """Whether a layer's input comes from neurons, pooled or not."""
    producers = {producer.name: producer for producer in folded.graph.body}
    source = node.source
    while isinstance(producers.get(source), ops.Pool):
        source = producers[source].source
    return isinstance(producers.get(source), ops.Neuron)


def operations_of(folded: Folded, neuron: ops.Neuron) -> int:
    """Operations of a neuron in a step: leak, charge and reset, or one addition; and an affine that stayed."""
    affine = 2 if f"{neuron.name}.current_scale" in folded.arrays else 0
    return (1 if neuron.kind == "parallel" else 3) + affine


def table(before: Costs, after: Costs, findings: dict[str, Any], disk_mb: float, num_steps: int) -> rich.table.Table:
    """The paper's Table 2 columns, before and after."""
    shown = rich.table.Table(box=None, padding=(0, 2, 0, 0))  # fits 80 columns
    for name in ("", "T", "Param.(MB)", "disk(MB)", "Acc.(%)", "SOPs(M)", "NOPs(M)", "Power(mJ)"):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    after_accuracy = findings[findings["arithmetic"]]["accuracy_per_step"][-1]
    for name, costs, disk, accuracy in (
        ("checkpoint", before, "", findings["checkpoint_accuracy_per_step"][-1]),
        ("deployed", after, f"{disk_mb:.4f}", after_accuracy),
    ):
        shown.add_row(
            name,
            str(num_steps),
            f"{costs.parameters_mb:.4f}",
            disk,
            f"{100 * accuracy:.2f}",
            f"{costs.sops_m:.4f}",
            f"{costs.nops_m:.4f}",
            f"{costs.power_mj:.3g}",
        )
    return shown
