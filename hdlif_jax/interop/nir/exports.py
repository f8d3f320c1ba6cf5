"""From our networks, where NIR can express them, to NIR graphs.

NIR describes neurons by differential equations. A LIF layer becomes `nir.LIF`, or `nir.IF` where it does not leak, such
that the forward Euler method with time-step dt gives Eq. 1 exactly: λ = 1 − dt/τ and (dt/τ)·R = 1. Two things the
metadata of every neuron says: what happens on firing (the threshold is subtracted, or the membrane set to
v_reset = 0), and whether a neuron fires at its threshold or only above it.
"""

import itertools
from typing import Any, cast

import jax
import nir
import numpy as np

from hdlif_jax.checks import Positive, check_arguments
from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.graph import Add, Conv, Function, Linear, Neuron, Node
from hdlif_jax.interop.nir.arrays import channels_first
from hdlif_jax.interop.nir.lif import METHOD, RESETS, Dynamics, Reset, node_of
from hdlif_jax.neurons.lif import Tie

REASONS = {
    "hd-lif": "its spikes carry the strength m − θ, which NIR's spikes (0 or 1) cannot, and λ and θ change from step "
    "to step, where NIR's parameters are constant",
    "parallel": "it has no membrane, its spikes carry the strength I − θ, and θ changes from step to step",
    "glif": "its gates mix leaks and resets that NIR's neurons have one each of",
    "relu": "it hands on real numbers, and NIR's spikes are 0 or 1",
    "lif": "it does not reset, and NIR's LIF neurons do",
}
DELAYS = {  # by the order of the neuron's parts
    "fire-charge": "it fires before it charges, and NIR's LIF neurons charge first",
    "charge-reset-fire": "it resets a step after it fires, and NIR's LIF neurons reset at once",
}
FUNCTIONS = {
    "attention": "SECA multiplies currents by a function of their average",
    "maximum": "it is a maximum",
}
Shape = tuple[int, ...]


@check_arguments
def to_nir(folded: Folded, dt: Positive = 1e-3) -> nir.NIRGraph:
    """The network as a NIR graph; `interop.nir.write(path, graph)` stores it.

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
    shapes = _shapes(folded)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(channels_first(shapes["input"]))})}
    edges: list[tuple[str, str]] = []
    outputs: dict[str, tuple[str, ...]] = {"input": ("input",)}  # of a value: the nodes whose outputs add up to it
    images: dict[str, Shape] = {}  # of a flat value: the image that it was
    for node in folded.graph.nodes:
        if node.source in images and not isinstance(node, Linear):
            images[node.name] = images[node.source]
        if isinstance(node, Add):  # NIR adds up the edges into a node, so a sum is no node of its own
            outputs[node.name] = outputs[node.source] + outputs[node.other]
            continue
        if _is_identity(folded, node):  # such as spikes of height 1 as a current
            outputs[node.name] = outputs[node.source]
            continue
        if isinstance(node, Function) and node.kind == "flatten" and len(shapes[node.source]) == 3:
            images[node.name] = shapes[node.source]
        chain = _convert(folded, node, shapes, images.get(node.source), dt)
        nodes |= chain
        names = list(chain)
        edges += [(source, names[0]) for source in outputs[node.source]]
        edges += list(itertools.pairwise(names))
        outputs[node.name] = (names[-1],)
    logits = folded.graph.logits
    if logits in images:
        raise ValueError(f"NIR flattens images in another order: end the network in a linear layer and not in {logits}")
    nodes["output"] = nir.Output({"output": np.array(shapes[logits])})
    edges += [(source, "output") for source in outputs[logits]]
    return nir.NIRGraph(nodes, edges, metadata={"method": METHOD, "dt": dt, "num_steps": folded.graph.num_steps})


def _convert(folded: Folded, node: Node, shapes: dict[str, Shape], image: Shape | None, dt: float) -> dict[str, Any]:
    shape = shapes[node.source]
    if isinstance(node, Neuron):
        return {node.name: _lif(folded, node, shape, dt)}
    if isinstance(node, Conv):
        weight, bias = _weight(folded, node.name)
        return {node.name: nir.Conv2d(shape[:2], weight.transpose(3, 2, 0, 1), node.stride, node.padding, 1, 1, bias)}
    if isinstance(node, Linear):
        weight, bias = _weight(folded, node.name)
        return {node.name: nir.Affine(np.ascontiguousarray(_in_order(weight, image).T), bias)}
    if isinstance(node, Function) and node.kind == "affine":
        scale, shift = (
            np.broadcast_to(folded.arrays[node.name][field].reshape(-1), shape[-1:]) for field in ("scale", "shift")
        )
        if len(shape) == 1:
            return {node.name: nir.Affine(np.diag(_in_order(scale, image)), _in_order(shift, image))}
        # Filters of one pixel; NIR's own checks take no convolution in groups.
        return {node.name: nir.Conv2d(shape[:2], np.diag(scale)[:, :, None, None], 1, 0, 1, 1, shift)}
    if isinstance(node, Function) and len(shape) == 3:
        if node.kind in ("sum", "average"):
            return {node.name: _pool((2, 2), nir.SumPool2d if node.kind == "sum" else nir.AvgPool2d)}
        if node.kind == "average-3x3":
            return {node.name: nir.AvgPool2d(*(np.array([size, size]) for size in (3, 2, 1)))}
        if node.kind == "adaptive-average" and not any(shape[axis] % shapes[node.name][axis] for axis in (0, 1)):
            return {node.name: _pool(tuple(shape[axis] // shapes[node.name][axis] for axis in (0, 1)))}
        if node.kind == "global-average":
            flat = nir.Flatten({"input": np.array([shape[2], 1, 1])}, 0, -1)
            return {node.name: _pool(shape[:2]), f"{node.name}.flat": flat}
        if node.kind == "flatten":
            return {node.name: nir.Flatten({"input": np.array(channels_first(shape))}, 0, -1)}
    kind = node.kind if isinstance(node, Function) else type(node).__name__
    what = FUNCTIONS.get(kind, f"it computes {kind!r} of a value of shape {shape}")
    raise ValueError(f"NIR cannot express {node.name}: {what}, and NIR has only sums, averages and affine maps")


def _pool(window: Shape, kind: type[nir.NIRNode] = nir.AvgPool2d) -> nir.NIRNode:
    """Pooling without overlap; as NIR's shapes say, what is left over at the end of a side is cut."""
    return kind(np.array(window), np.array(window), np.array([0, 0]))


def _in_order(rows: np.ndarray, image: Shape | None) -> np.ndarray:
    """What is said of each feature, of a flattened image in the order of NIR: channels first."""
    return rows if image is None else rows[np.arange(len(rows)).reshape(image).transpose(2, 0, 1).reshape(-1)]


def _is_identity(folded: Folded, node: Node) -> bool:
    """Whether a node multiplies by 1 and adds 0."""
    arrays = folded.arrays.get(node.name, {})
    is_affine = isinstance(node, Function) and node.kind == "affine"
    return is_affine and bool((arrays["scale"] == 1).all()) and not arrays["shift"].any()


def _lif(folded: Folded, node: Neuron, shape: Shape, dt: float) -> nir.NIRNode:
    traits = node.traits
    delay = DELAYS.get(str(traits.get("order")))
    if node.kind != "lif" or traits.get("reset") not in RESETS or delay is not None:
        reason = delay if delay is not None else REASONS.get(node.kind, "NIR has no such neuron")
        raise ValueError(
            f"NIR cannot express the {node.kind} neuron {node.name}: {reason}; "
            "export a network of nn.lif() neurons that reset, or deploy this one as an artifact"
        )
    decay, threshold = (float(folded.arrays[node.name][field].item()) for field in ("decay", "threshold"))
    if not threshold > 0:
        raise ValueError(f"{node.name} has the threshold {threshold}; NIR's neurons need a positive one")
    dynamics = Dynamics(decay, threshold, cast(Reset, traits["reset"]), cast(Tie, traits["tie"]))
    return node_of(dynamics, channels_first(shape) if len(shape) == 3 else shape, dt)


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
