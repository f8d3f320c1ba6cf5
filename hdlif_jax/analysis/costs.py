"""What a network costs, counted by walking the model and watching it run (Tables 1-2 of the paper)."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from flax import nnx

from hdlif_jax import accounting, show
from hdlif_jax.analysis.counting import make_counter
from hdlif_jax.analysis.kernels import Kernel, check_kernels, check_layers, kernels
from hdlif_jax.analysis.meter import LayerShape, layout
from hdlif_jax.checks import check
from hdlif_jax.nn import NeuronCell, SpikingNetwork
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_model
from hdlif_jax.quantize import has_levels
from hdlif_jax.rollout import batch_size, is_static


@dataclasses.dataclass(frozen=True)
class SynapseCost:
    """One convolution or linear layer, per image.

    Attributes:
      path: module path, such as `blocks.0.conv1`.
      weights: kind of its kernel.
      reads: "spikes" or "currents".
      parameters: entries of kernel and bias.
      bytes_paper: 4, 0.375 or 0.25 bytes per weight; a bias has 4.
      bytes_packed: 8 binary or 5 ternary weights a byte, float32 scales and bias.
      sops: synaptic operations, pairs of a spike and a kernel entry that are both not zero, over all steps; 0 where the
        layer reads currents.
      macs: multiply-accumulates over all steps (of a static image the stem runs once); 0 where it reads spikes.
      input_rate: share of its inputs that are not zero; None where the layer reads currents.
      power_mj_paper: SOPs at 0.9 pJ, with quantised spikes of n bits divided by 32 / n (by 8 for 4 bits).
      power_mj_strict: the same plus MACs at 4.6 pJ; SOPs that need a multiplier, of graded spikes on a float kernel,
        are 4.6 pJ too.
    """

    path: str
    weights: str
    reads: str
    parameters: int
    bytes_paper: float
    bytes_packed: int
    sops: float
    macs: float
    input_rate: float | None
    power_mj_paper: float
    power_mj_strict: float


@dataclasses.dataclass(frozen=True)
class NeuronCost:
    """One layer of neurons, per image.

    Attributes:
      path: module path, such as `blocks.0.neuron1`.
      neurons: their number.
      nops: neural operations over all steps; leak, charge and reset, or one addition where the neuron is parallel.
      firing_rate: share of neurons that fire, over images and steps.
    """

    path: str
    neurons: int
    nops: int
    firing_rate: float


@dataclasses.dataclass(frozen=True, repr=False)
class Costs:
    """A network's costs per image, with a row per layer in the order of the model.

    Attributes:
      num_images: images, recordings or other inputs that the SOPs and firing rates are means of.
      other_bytes: norms, neurons and attention in float32; with `bytes_packed` of all layers, the size of the model.
    """

    num_images: int
    other_bytes: int
    synapses: tuple[SynapseCost, ...]
    neurons: tuple[NeuronCost, ...]

    def summary(self) -> dict[str, float]:
        """The totals: megabytes (10⁶), millions of operations, millijoules, and the mean firing rate."""
        total = {
            field.name: sum(getattr(row, field.name) for row in self.synapses)
            for field in dataclasses.fields(SynapseCost)
            if field.name in ("bytes_paper", "bytes_packed", "sops", "macs", "power_mj_paper", "power_mj_strict")
        }
        neurons = sum(row.neurons for row in self.neurons)
        return {
            "param_mb_paper": total["bytes_paper"] / 1e6,
            "param_mb_packed": total["bytes_packed"] / 1e6,
            "other_mb": self.other_bytes / 1e6,
            "nops_m": sum(row.nops for row in self.neurons) / 1e6,
            "sops_m": total["sops"] / 1e6,
            "macs_m": total["macs"] / 1e6,
            "power_mj_paper": total["power_mj_paper"],
            "power_mj_strict": total["power_mj_strict"],
            "firing_rate": sum(row.neurons * row.firing_rate for row in self.neurons) / neurons,
        }

    def __repr__(self) -> str:
        found = self.summary()
        facts = {
            "inputs": self.num_images,
            "weights": f"{found['param_mb_packed']:.3g} MB",
            "NOPs": f"{found['nops_m']:.3g} M",
            "SOPs": f"{found['sops_m']:.3g} M",
            "MACs": f"{found['macs_m']:.3g} M",
            "energy": f"{found['power_mj_strict']:.3g} mJ",
            "firing": f"{100 * found['firing_rate']:.3g} %",
        }
        return show.line("Costs", facts)

    def _repr_html_(self) -> str:
        columns = ("layer", "kernel", "parameters", "reads", "inputs ≠ 0", "SOPs", "MACs")
        synapses = [
            (row.path, row.weights, row.parameters, row.reads, row.input_rate or "", round(row.sops), round(row.macs))
            for row in self.synapses
        ]
        neurons = [(row.path, row.neurons, row.nops, row.firing_rate) for row in self.neurons]
        return (
            show.table(f"Costs, mean of {self.num_images} inputs", self.summary())
            + show.rows("Layers", columns, synapses)
            + show.rows("Neurons", ("layer", "number", "NOPs", "firing rate"), neurons)
        )


@dataclasses.dataclass(frozen=True)
class CompiledCost:
    """What XLA says of a compiled function.

    Attributes:
      memory_mb: arguments, outputs that are not donated arguments, and temporaries, in 10⁶ bytes.
      temporaries_mb: the temporaries alone.
      gflops: floating-point operations in 10⁹; XLA counts the body of a loop once.
    """

    memory_mb: float
    temporaries_mb: float
    gflops: float


class Memory(NamedTuple):
    """Memory of a model in bytes.

    Attributes:
      paper: of all convolution and linear layers, as the paper counts it.
      packed: of the same in packed form.
      other: of all else in float32; with `packed` the size of the model.
    """

    paper: float
    packed: int
    other: int


def memory(model: SpikingNetwork) -> Memory:
    """Memory of all parameters and statistics; shapes are enough.

    Raises:
      TypeError: a kernel that is in no layer of synapses.
    """
    check_kernels(model)
    layers = [kernel for _, kernel in kernels(model)]
    paper, packed = (sum(values) for values in zip(*map(_bytes, layers), strict=True))
    return Memory(paper, packed, _other_bytes(model, layers))


def parameter_megabytes(model: SpikingNetwork) -> float:
    """Memory of all convolution and linear layers by the paper's counting, in 10⁶ bytes; see `memory`."""
    return memory(model).paper / 1e6


def neural_operations(model: SpikingNetwork) -> dict[str, int]:
    """NOPs of every neuron layer for one input over all time-steps, by tracing shapes: nothing is computed.

    Raises:
      TypeError: a layer that does not declare what it costs, see `kernels.check_layers`.
    """
    check_layers(model)
    sizes, cells = layout(model).neurons, dict(modules(model))
    return {
        path: accounting.neural_operations(neurons, cast(NeuronCell, cells[path]).operations, model.num_steps)
        for path, neurons in sizes.items()
    }


def measure(model: SpikingNetwork, batches: Iterable[jax.Array], *, batch_statistics: bool = False) -> Costs:
    """Runs the network and counts.

    Args:
      model: any network, of the library's modules or of your own.
      batches: inputs as the network takes them, all static `[B, ...]` or all sequences `[T, B, ...]`.
      batch_statistics: whether to normalise by the batch, as for a network whose running statistics are not trained;
        else the network runs in inference form.

    Raises:
      TypeError: what is no model, no truth value, or a layer that does not declare what it costs, see
        `kernels.check_layers`.
      ValueError: there is no batch, or one does not fit the network.
    """
    check_model(model)
    check("batch_statistics", batch_statistics, bool)
    nops, sizes = neural_operations(model), layout(model)
    count = make_counter(model, batch_statistics=batch_statistics)
    num_inputs, static, totals = 0, set(), None
    for batch in batches:
        static.add(is_static(model, batch))
        # Summed in int64 on the host: a batch may have more than 2³¹ operations.
        counts = jax.tree.map(lambda leaf: int(np.asarray(leaf, np.int64).sum()), count(batch))
        totals = counts if totals is None else jax.tree.map(int.__add__, totals, counts)
        num_inputs += batch_size(model, batch)
    if totals is None or len(static) > 1:
        found = "both static inputs and sequences" if static else "nothing"
        raise ValueError(f"the batches hold {found}; give at least one, all static or all sequences")
    passes = num_inputs * model.num_steps
    rows = []
    for path, shape in sizes.synapses.items():
        runs = 1 if shape.encodes and static == {True} else model.num_steps
        spiking = path in totals.active
        rows.append(
            _synapse_row(
                path,
                shape,
                runs,
                totals.operations[path] / num_inputs if spiking else 0.0,
                totals.active[path] / (passes * shape.inputs) if spiking else None,
            )
        )
    neurons = tuple(
        NeuronCost(path, size, nops[path], totals.fired[path] / (passes * size)) for path, size in sizes.neurons.items()
    )
    other = _other_bytes(model, [shape.kernel for shape in sizes.synapses.values()])
    return Costs(num_inputs, other, tuple(rows), neurons)


def compiled_cost(function: Callable[..., Any], *arguments: Any) -> CompiledCost:
    """Compiles a function, without running it, and reads XLA's account of it.

    Args:
      function: to be jitted, or jitted already.
      *arguments: arrays or `jax.ShapeDtypeStruct`s.
    """
    jitted: Any = function if hasattr(function, "lower") else jax.jit(function)
    compiled = jitted.lower(*arguments).compile()
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    live = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return CompiledCost(
        memory_mb=(live + memory.temp_size_in_bytes) / 1e6,
        temporaries_mb=memory.temp_size_in_bytes / 1e6,
        gflops=cost.get("flops", 0.0) / 1e9,
    )


def _synapse_row(path: str, shape: LayerShape, runs: int, sops: float, input_rate: float | None) -> SynapseCost:
    kernel = shape.kernel
    macs = 0 if kernel.spikes else runs * shape.outputs * math.prod(kernel.shape[:-1])
    power_paper, power_strict = _power(kernel, sops, macs)
    bytes_paper, bytes_packed = _bytes(kernel)
    return SynapseCost(
        path=path,
        weights=kernel.weights,
        reads="spikes" if kernel.spikes else "currents",
        parameters=kernel.num_parameters,
        bytes_paper=bytes_paper,
        bytes_packed=bytes_packed,
        sops=sops,
        macs=macs,
        input_rate=input_rate,
        power_mj_paper=power_paper,
        power_mj_strict=power_strict,
    )


def _other_bytes(model: SpikingNetwork, layers: Iterable[Kernel]) -> int:
    everything: int = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, (nnx.Param, nnx.BatchStat))))
    return accounting.FLOAT_BYTES * (everything - sum(kernel.num_parameters for kernel in layers))


def _bytes(kernel: Kernel) -> accounting.LayerBytes:
    return accounting.layer_bytes(kernel.shape, kernel.weights, kernel.num_biases)


def _power(kernel: Kernel, sops: float, macs: int) -> tuple[float, float]:
    """Millijoules by the paper's formula and by the strict one."""
    spikes = kernel.spikes
    if spikes is None:
        return 0.0, accounting.multiply_accumulate_mj(macs)
    paper = accounting.accumulate_mj(sops, None if spikes.quantizer is None else spikes.bits)
    is_binary = spikes.quantizer is None and spikes.pooled == 1
    multiplies = not has_levels(kernel.weights) and not is_binary
    return paper, accounting.multiply_accumulate_mj(sops) if multiplies else paper
