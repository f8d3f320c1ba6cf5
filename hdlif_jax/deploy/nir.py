"""Export to NIR, the Neuromorphic Intermediate Representation, of the networks that it can express.

NIR describes neurons by differential equations. A LIF layer becomes `nir.LIF` such that the forward Euler method with
time-step dt gives Eq. 1 exactly: λ = 1 − dt/τ and (dt/τ)·R = 1. Two things NIR leaves to the simulator, and the
metadata of every neuron says them: what happens on firing (the threshold is subtracted, or the membrane set to
v_reset = 0), and whether a neuron fires at its threshold or only above it.
"""

import itertools
from typing import Any

import jax
import nir
import numpy as np

from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.graph import Add, Conv, Function, Linear, Neuron, Node

METADATA = {"method": "forward Euler"}
RESETS = {"soft": "subtract v_threshold", "hard": "set to v_reset"}
REASONS = {
    "hd-lif": "its spikes carry the strength m − θ, which NIR's spikes (0 or 1) cannot, and λ and θ change from step "
    "to step, where NIR's parameters are constant",
    "parallel": "it has no membrane, its spikes carry the strength I − θ, and θ changes from step to step",
    "glif": "its gates mix leaks and resets that NIR's neurons have one each of",
    "relu": "it hands on real numbers, and NIR's spikes are 0 or 1",
    "lif": "it does not reset, and NIR's LIF neurons do",
}
DELAYS = "it fires before it charges, and NIR's LIF neurons charge first"
FUNCTIONS = {
    "attention": "SECA multiplies currents by a function of their average",
    "maximum": "it is a maximum",
}
Shape = tuple[int, ...]


def to_nir(folded: Folded, dt: float = 1e-3) -> nir.NIRGraph:
    """The network as a NIR graph; `nir.write(path, graph)` stores it.

    Arrays are channels first, as in NIR. The graph is driven with the normalised input at every time-step, and its
    output is a step's logits: sum them over time. A spike is 1 there, where it is θ in Eq. 1; the weights behind it
    have taken θ in.

    Args:
      folded: from `fold`, of a network with LIF neurons.
      dt: seconds that a time-step stands for.

    Raises:
      TypeError: what is not folded, such as a model.
      ValueError: NIR has nothing for a part of the network; says which and why.
    """
    if not isinstance(folded, Folded):
        raise TypeError(f"folded is a {type(folded).__name__}; give deploy.fold.fold(model)")
    if not dt > 0:
        raise ValueError(f"dt={dt} must be positive: it is the length of a time-step in seconds, e.g. 1e-3")
    shapes = _shapes(folded)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(_channels_first(shapes["input"]))})}
    edges: list[tuple[str, str]] = []
    outputs: dict[str, tuple[str, ...]] = {"input": ("input",)}  # of a value: the nodes whose outputs add up to it
    flattened: dict[str, Shape] = {}  # the image that a flat value was
    for node in folded.graph.nodes:
        if isinstance(node, Add):  # NIR adds up the edges into a node, so a sum is no node of its own
            outputs[node.name] = outputs[node.source] + outputs[node.other]
            continue
        chain = _convert(folded, node, shapes, flattened, dt)
        nodes |= chain
        names = list(chain)
        edges += [(source, names[0]) for source in outputs[node.source]]
        edges += list(itertools.pairwise(names))
        outputs[node.name] = (names[-1],)
    logits = folded.graph.logits
    nodes["output"] = nir.Output({"output": np.array(shapes[logits])})
    edges += [(source, "output") for source in outputs[logits]]
    return nir.NIRGraph(nodes, edges, metadata=METADATA | {"dt": dt, "num_steps": folded.graph.num_steps})


def _convert(
    folded: Folded, node: Node, shapes: dict[str, Shape], flattened: dict[str, Shape], dt: float
) -> dict[str, Any]:
    shape = shapes[node.source]
    if isinstance(node, Neuron):
        return {node.name: _lif(folded, node, shape, dt)}
    if isinstance(node, Conv):
        weight, bias = _weight(folded, node.name)
        return {node.name: nir.Conv2d(shape[:2], weight.transpose(3, 2, 0, 1), node.stride, node.padding, 1, 1, bias)}
    if isinstance(node, Linear):
        weight, bias = _weight(folded, node.name)
        if node.source in flattened:  # rows in the order of channels first
            order = np.arange(len(weight)).reshape(flattened[node.source]).transpose(2, 0, 1).reshape(-1)
            weight = weight[order]
        return {node.name: nir.Affine(np.ascontiguousarray(weight.T), bias)}
    if isinstance(node, Function) and node.kind == "affine":
        scale, shift = (
            np.broadcast_to(folded.arrays[node.name][field].reshape(-1), shape[-1:]) for field in ("scale", "shift")
        )
        if len(shape) == 1:
            return {node.name: nir.Affine(np.diag(scale), shift)}
        # Filters of one pixel; NIR's own checks take no convolution in groups.
        return {node.name: nir.Conv2d(shape[:2], np.diag(scale)[:, :, None, None], 1, 0, 1, 1, shift)}
    if isinstance(node, Function) and len(shape) == 3:
        if node.kind in ("sum", "average"):
            if shape[0] % 2 or shape[1] % 2:
                raise ValueError(f"{node.name} cuts an odd row or column off {shape}, which no pooling of NIR does")
            pool = nir.SumPool2d if node.kind == "sum" else nir.AvgPool2d
            return {node.name: pool(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))}
        if node.kind == "global-average":
            window = np.array(shape[:2])
            flat = nir.Flatten({"input": np.array([shape[2], 1, 1])}, 0, -1)
            return {node.name: nir.AvgPool2d(window, window, np.array([0, 0])), f"{node.name}.flat": flat}
        if node.kind == "flatten":
            flattened[node.name] = shape
            return {node.name: nir.Flatten({"input": np.array(_channels_first(shape))}, 0, -1)}
    kind = node.kind if isinstance(node, Function) else type(node).__name__
    what = FUNCTIONS.get(kind, f"it computes {kind!r} of a value of shape {shape}")
    raise ValueError(f"NIR cannot express {node.name}: {what}, and NIR has only sums, averages and affine maps")


def _lif(folded: Folded, node: Neuron, shape: Shape, dt: float) -> nir.LIF:
    reset, fires = node.traits.get("reset", ""), node.traits.get("tie", "")
    delays = node.traits.get("order") == "fire-charge"
    if node.kind != "lif" or reset not in RESETS or delays:
        reason = DELAYS if delays else REASONS.get(node.kind, "NIR has no such neuron")
        raise ValueError(
            f"NIR cannot express the {node.kind} neuron {node.name}: {reason}; "
            "export a network of nn.lif() neurons that reset, or deploy this one as an artifact"
        )
    decay, threshold = (float(folded.arrays[node.name][field].item()) for field in ("decay", "threshold"))
    if not threshold > 0:
        raise ValueError(f"{node.name} has the threshold {threshold}; NIR's neurons need a positive one")
    full = np.ones(_channels_first(shape) if len(shape) == 3 else shape)
    return nir.LIF(
        tau=full * dt / (1 - decay),
        r=full / (1 - decay),
        v_leak=0 * full,
        v_threshold=threshold * full,
        v_reset=0 * full,
        metadata=METADATA | {"dt": dt, "reset": RESETS[reset], "fires": f"v {fires} v_threshold"},
    )


def _weight(folded: Folded, name: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = folded.arrays[name]
    scale = arrays.get("scale", np.ones((1, 1), np.float32))
    return arrays["kernel"].astype(np.float32) * scale[0], arrays["bias"][0]


def _shapes(folded: Folded) -> dict[str, Shape]:
    """Shape of every value for one input."""
    graph = folded.graph

    def one_step(arrays: execute.Arrays, x: jax.Array) -> execute.Values:
        encoded, _ = execute.run_nodes(graph.encoder, "float", arrays, {}, {"input": x}, 1)
        _, values = execute.advance(graph, "float", arrays, {}, encoded[graph.current], 0, 1)
        return encoded | values

    x = jax.ShapeDtypeStruct((1, 1, *graph.input_shape), np.float32)
    return {name: leaf.shape[2:] for name, leaf in jax.eval_shape(one_step, folded.arrays, x).items()}


def _channels_first(shape: Shape) -> Shape:
    return (shape[-1], *shape[:-1])
