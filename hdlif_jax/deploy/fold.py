"""Folding: a trained network as small integers, a few scales, and a graph (Section 4.2, Eqs. 7-8; Algorithm 1, l. 11).

Each kind of leaf module has one rule here. How they are connected is read off the network itself (`trace.py`).
Scales are folded in float64 and rounded to float32 once.
"""

import collections
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import graph as ops
from hdlif_jax.deploy.graph import Graph, Node
from hdlif_jax.deploy.trace import Call, trace
from hdlif_jax.neurons import mem_bn
from hdlif_jax.nn import pooling
from hdlif_jax.quantize import SpikeQuantizer, binarize, ternarize

Arrays = dict[str, np.ndarray]
QUANTIZERS = {"binary": jax.jit(binarize), "ternary": jax.jit(ternarize)}
MAX_INT8 = 127
MAX_UINT8 = 255


class Folded(NamedTuple):
    """A network ready for inference: run it with `hdlif_jax.deploy.execute`.

    Attributes:
      graph: what is computed.
      arrays: by name, `"<node>.<field>"`; integer kernels are int8, all else float32.
    """

    graph: Graph
    arrays: Arrays


class Value(NamedTuple):
    """What is known of a value while folding.

    Attributes:
      unit: what the network's own value is, in multiples of the folded one; the next layer's scale takes it in.
      max_level: the largest integer, where the values are integers; None for floats.
    """

    unit: float = 1.0
    max_level: int | None = None


def fold(model: nn.SpikingNetwork, variables: nn.Variables | None = None) -> Folded:
    """Folds a network in inference mode.

    Kernels become levels −1, 0, 1; their scale, the size of a spike level and BatchNorm become one scale and one bias
    per output channel; Mem-BN becomes a per-step decay and an affine on the current (Eqs. 7-8), which moves on into
    the layer before where that layer feeds nothing else.

    Args:
      model: a network of the library, or one built of its leaf modules.
      variables: its trained parameters and statistics; those of the model by default.

    Raises:
      TypeError: the network computes something that is neither a leaf module nor a sum, or a module has no rule.
      ValueError: a mix that has no folded form, such as spikes added to spikes, or `variables` of another network.
    """
    if variables is not None:
        model = nn.with_variables(model, variables)
    encoder_calls, body_calls, current = trace(model)
    folding = _Folding(encoder_calls + body_calls)
    encoder = folding.part(encoder_calls)
    current = folding.renamed.get(current, current)
    if folding.values[current] != Value():
        raise ValueError("encode() must end in a current, but it ends in spikes; move the neuron into __call__()")
    body = folding.part(body_calls)
    graph = Graph(model.num_steps, model.input_shape, model.num_classes, encoder, body, current)
    return Folded(graph, {name: _stored(array) for name, array in folding.arrays.items()})


class _Folding:
    """Nodes, arrays and values of the part of a network that has been folded so far."""

    def __init__(self, calls: list[Call]):
        self.arrays: Arrays = {}
        self.values: dict[str, Value] = {"input": Value()}
        self.renamed: dict[str, str] = {}  # a BatchNorm's output is its convolution's
        self.nodes: list[Node] = []
        self.num_readers = collections.Counter(source for call in calls for source in call.sources)

    def part(self, calls: list[Call]) -> tuple[Node, ...]:
        self.nodes = []
        for call in calls:
            sources = tuple(self.renamed.get(source, source) for source in call.sources)
            if call.module is None:
                self.emit(ops.Add(call.name, *(self.current(source) for source in sources)))
            else:
                rule_of(call)(self, call.module, call.name, *sources)
        return tuple(self.nodes)

    def emit(self, node: Node, value: Value = Value(), arrays: Arrays | None = None) -> None:
        self.nodes.append(node)
        self.values[node.name] = value
        self.arrays |= {f"{node.name}.{field}": array for field, array in (arrays or {}).items()}

    def current(self, source: str) -> str:
        if self.values[source] != Value():
            raise ValueError(
                f"{source} is a spike train; only convolutions, linear layers and averages can read spikes"
            )
        return source

    def affine(self, name: str, scale: np.ndarray, shift: np.ndarray) -> None:
        """Multiplies a synapse's output by `scale` and adds `shift`, both `[1 or T, C]`."""
        kernel = self.arrays[f"{name}.kernel"]
        if f"{name}.scale" in self.arrays or len(scale) > 1:
            self.arrays[f"{name}.scale"] = self.arrays.get(f"{name}.scale", np.ones((1, kernel.shape[-1]))) * scale
        else:
            self.arrays[f"{name}.kernel"] = kernel * scale.reshape((1,) * (kernel.ndim - 1) + (-1,))
        self.arrays[f"{name}.bias"] = self.arrays[f"{name}.bias"] * scale + shift

    def synapse(self, module: nn.Synapse, name: str, source: str) -> bool:
        """Arrays of a convolution or linear layer; whether it is an integer one."""
        unit, max_level = self.values[source]
        kernel, bias = module.kernel[...], np.zeros((1, module.kernel.shape[-1]))
        if isinstance(module, nn.Linear):
            bias = _float64(module.bias)[None, :]
        if module.weights == "float":
            arrays = {"kernel": _float64(kernel) * unit}
        else:
            levels, scale = QUANTIZERS[module.weights](kernel)
            scale = np.broadcast_to(_float64(scale).reshape(1, -1) * unit, bias.shape)
            arrays = {"kernel": np.asarray(levels).astype(np.int8), "scale": scale}
        self.arrays |= {f"{name}.{field}": array for field, array in (arrays | {"bias": bias}).items()}
        return module.weights != "float" and max_level is not None and max_level <= MAX_INT8


def _fold_conv(folding: _Folding, module: nn.Conv, name: str, source: str) -> None:
    integer = folding.synapse(module, name, source)
    folding.emit(ops.Conv(name, source, module.stride, module.kernel_size // 2, integer))


def _fold_linear(folding: _Folding, module: nn.Linear, name: str, source: str) -> None:
    folding.emit(ops.Linear(name, source, folding.synapse(module, name, source)))


def _fold_norm(folding: _Folding, module: nnx.BatchNorm, name: str, source: str) -> None:
    before = folding.nodes[-1] if folding.nodes else None
    if not isinstance(before, ops.Conv | ops.Linear) or before.name != source or folding.num_readers[source] != 1:
        raise ValueError(f"{name} normalises {source}; a BatchNorm must directly follow a convolution that it owns")
    gain = _float64(module.scale) / np.sqrt(_float64(module.var) + module.epsilon)
    folding.affine(source, gain[None, :], (_float64(module.bias) - gain * _float64(module.mean))[None, :])
    folding.renamed[name] = source
    folding.num_readers[source] = folding.num_readers[name]


def _fold_lif(folding: _Folding, module: nn.LIFCell, name: str, source: str) -> None:
    threshold = float(module.threshold[...])
    folding.emit(
        ops.Neuron(name, folding.current(source), "lif", 1, threshold),
        Value(threshold, 1),
        {"decay": _sigmoid(module.raw_decay).reshape(1, 1), "threshold": np.full((1, 1), threshold)},
    )


def _fold_parallel(folding: _Folding, module: nn.ParallelHDLIFCell, name: str, source: str) -> None:
    max_level, level_size = _levels(module.quantize, name)
    folding.emit(
        ops.Neuron(name, folding.current(source), "parallel", max_level, level_size),
        Value(level_size, max_level),
        {"threshold": _sigmoid(module.raw_threshold)[:, None]},
    )


def _fold_hd_lif(folding: _Folding, module: nn.HDLIFCell, name: str, source: str) -> None:
    max_level, level_size = _levels(module.quantize, name)
    decay = _sigmoid(module.raw_decay)[:, None]
    arrays = {"threshold": _sigmoid(module.raw_threshold)[:, None]}
    if isinstance(module, nn.MemBNHDLIFCell):
        gain = _float64(module.scale) / np.sqrt(_float64(module.var) + mem_bn.EPSILON)
        normalized_weight = _sigmoid(module.raw_normalized_weight)[:, None]
        current_scale = _sigmoid(module.raw_membrane_weight)[:, None] + normalized_weight * gain  # α* (Eq. 7)
        current_shift = -normalized_weight * (gain * _float64(module.mean) - _float64(module.shift))  # −β* (Eq. 7)
        decay = current_scale * decay  # λ̂ (Eq. 8)
        in_this_part = any(node.name == source for node in folding.nodes if isinstance(node, ops.Conv | ops.Linear))
        if in_this_part and folding.num_readers[source] == 1:
            folding.affine(source, current_scale, current_shift)
        else:
            arrays |= {"current_scale": current_scale, "current_shift": current_shift}
    folding.emit(
        ops.Neuron(name, folding.current(source), "hd-lif", max_level, level_size),
        Value(level_size, max_level),
        arrays | {"decay": decay},
    )


def _fold_attention(folding: _Folding, module: nn.SECA, name: str, source: str) -> None:
    arrays = {"kernel": _float64(module.kernel), "bias": _float64(module.bias).reshape(1)}
    folding.emit(ops.Attention(name, folding.current(source)), Value(), arrays)


def _fold_halving(folding: _Folding, module: pooling.HalvingAverage, name: str, source: str) -> None:
    unit, max_level = folding.values[source]
    if max_level is None or 4 * max_level > MAX_UINT8:
        folding.emit(ops.Pool(name, source, "average"), Value(unit))
    else:
        folding.emit(ops.Pool(name, source, "sum"), Value(unit / 4, 4 * max_level))


def _fold_global(folding: _Folding, module: pooling.GlobalAverage, name: str, source: str) -> None:
    folding.emit(ops.Pool(name, source, "global-average"), Value(folding.values[source].unit))


def _fold_maximum(folding: _Folding, module: pooling.StemMaximum, name: str, source: str) -> None:
    folding.emit(ops.Pool(name, folding.current(source), "maximum"))


def _fold_flatten(folding: _Folding, module: pooling.Flatten, name: str, source: str) -> None:
    folding.emit(ops.Pool(name, source, "flatten"), folding.values[source])


# By exact type: a subclass may compute something else, and would be folded without it.
RULES: dict[type, Callable[..., None]] = {
    nn.Conv: _fold_conv,
    nn.Linear: _fold_linear,
    nnx.BatchNorm: _fold_norm,
    nn.BatchNorm: _fold_norm,
    nn.LIFCell: _fold_lif,
    nn.ParallelHDLIFCell: _fold_parallel,
    nn.HDLIFCell: _fold_hd_lif,
    nn.MemBNHDLIFCell: _fold_hd_lif,
    nn.SECA: _fold_attention,
    pooling.HalvingAverage: _fold_halving,
    pooling.GlobalAverage: _fold_global,
    pooling.StemMaximum: _fold_maximum,
    pooling.Flatten: _fold_flatten,
}


def rule_of(call: Call) -> Callable[..., None]:
    """The rule that folds the module of a call.

    Raises:
      TypeError: its type has none.
    """
    kind = type(call.module)
    if kind not in RULES:
        raise TypeError(
            f"{call.name} is a {kind.__name__}, which has no folded form; add a rule for it to "
            "hdlif_jax.deploy.fold.RULES, or deploy a network without it"
        )
    return RULES[kind]


def _levels(quantizer: SpikeQuantizer, name: str) -> tuple[int | None, float]:
    if quantizer.softness is None:
        return None, 1.0
    if quantizer.softness != 0 or quantizer.max_level > MAX_UINT8:
        raise ValueError(
            f"{name} has {quantizer}; deployed spikes are levels of at most 8 bits, or not quantised at all"
        )
    return quantizer.max_level, quantizer.scale


def _float64(variable) -> np.ndarray:
    return np.asarray(variable[...], np.float64)


def _sigmoid(raw) -> np.ndarray:
    return 1 / (1 + np.exp(-_float64(raw)))


def _stored(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == np.int8 else np.ascontiguousarray(array, np.float32)
