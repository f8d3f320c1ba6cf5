"""What each kind of NIR node is as one of our layers."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import nir
import numpy as np
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.interop.nir.arrays import numbers, pair
from hdlif_jax.interop.nir.lif import Reset, dynamics_of
from hdlif_jax.neurons.lif import Tie


class Value(NamedTuple):
    """What is known of a value between two nodes.

    Attributes:
      shape: in NIR, `(F,)` or `(C, H, W)`.
      factor: what NIR's value is, in multiples of ours; the next weights or thresholds take it in.
      image: `(C, H, W)` of what is flattened, which NIR does in this order and we in that of `(H, W, C)`.
    """

    shape: tuple[int, ...]
    factor: float = 1.0
    image: tuple[int, ...] | None = None


class Options(NamedTuple):
    """What `from_nir` was asked for; see there."""

    dt: float
    reset: Reset | None
    tie: Tie | None
    neuron: nn.lif


class Read(NamedTuple):
    """What becomes of a node.

    Attributes:
      layer: None where the values before and behind it say it all.
      value: behind it.
      note: for the report.
    """

    layer: nnx.Module | nn.lif | None
    value: Value
    note: str


def read_node(node: nir.NIRNode, value: Value, following: nir.NIRNode, options: Options) -> Read:
    """What becomes of a node.

    Args:
      node: any but Input, Output and graphs.
      value: that it reads.
      following: the node behind it.
      options: of `from_nir`.

    Raises:
      ValueError: one line, without the name of the node.
    """
    if type(node) not in READERS:
        raise ValueError(REASONS.get(type(node).__name__, "no layer of ours computes it"))
    return READERS[type(node)](node, value, following, options)


def _linear(node: nir.Affine | nir.Linear, value: Value, following: nir.NIRNode, options: Options) -> Read:
    weight = numbers("weight", node.weight)
    if weight.ndim != 2 or value.shape != weight.shape[1:]:
        raise ValueError(f"its weight {weight.shape} is not (outputs, inputs) of inputs {value.shape}")
    has_bias = isinstance(node, nir.Affine)
    layer = nn.Linear(*reversed(weight.shape), bias=has_bias, init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    kernel = weight.T * value.factor
    if value.image is not None:
        kernel = kernel[np.arange(len(kernel)).reshape(value.image).transpose(1, 2, 0).reshape(-1)]
    _fill(layer, kernel, numbers("bias", node.bias) if has_bias else None)
    order = "" if value.image is None else "; rows in the order (H, W, C)"
    return Read(layer, Value(weight.shape[:1]), f"{_times(value)}kernel {kernel.shape}{order}")


def _conv(node: nir.Conv2d, value: Value, following: nir.NIRNode, options: Options) -> Read:
    weight = numbers("weight", node.weight)
    if weight.ndim != 4 or len(value.shape) != 3 or weight.shape[1] != value.shape[0]:
        raise ValueError(f"its weight {weight.shape} is not (outputs, inputs, k, k) of images {value.shape}")
    if node.input_shape is not None and pair("input_shape", node.input_shape) != value.shape[1:]:
        raise ValueError(f"its input_shape is {pair('input_shape', node.input_shape)} and the images are {value.shape}")
    size = weight.shape[2]
    stride, dilation, groups = (pair(field, getattr(node, field)) for field in ("stride", "dilation", "groups"))
    if weight.shape[3] != size or stride[0] != stride[1] or dilation != (1, 1) or groups != (1, 1) or stride[0] < 1:
        raise ValueError("ours have square kernels, one stride for both directions, no dilation and no groups")
    if isinstance(node.padding, str):
        if node.padding == "same" and (size % 2 == 0 or stride[0] > 1):
            raise ValueError("padding 'same' of an even kernel, or with a stride, is not the same on every side")
        padding = (size // 2,) * 2 if node.padding == "same" else (0, 0)
    else:
        padding = pair("padding", node.padding)
    if padding[0] != padding[1]:
        raise ValueError(f"its padding is {padding}, and ours is the same on every side")
    after = tuple((side + 2 * padding[0] - size) // stride[0] + 1 for side in value.shape[1:])
    if min(after) < 1:
        raise ValueError(f"its kernel of {size}×{size} is larger than the images {value.shape}")
    shape: dict[str, Any] = {"stride": stride[0], "padding": padding[0], "bias": True}
    layer = nn.Conv(weight.shape[1], weight.shape[0], size, **shape, init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    kernel = weight.transpose(2, 3, 1, 0) * value.factor
    _fill(layer, kernel, numbers("bias", node.bias))
    note = f"{_times(value)}kernel {kernel.shape}, stride {stride[0]}, padding {padding[0]}"
    return Read(layer, Value((weight.shape[0], *after)), note)


def _fill(layer: nn.Conv | nn.Linear, kernel: np.ndarray, bias: np.ndarray | None) -> None:
    layer.kernel[...] = jnp.asarray(kernel, jnp.float32)
    if bias is not None and layer.bias is not None:
        if bias.shape != layer.bias.shape:
            raise ValueError(f"its bias has the shape {bias.shape} and it has {layer.bias.shape[0]} outputs")
        layer.bias[...] = jnp.asarray(bias, jnp.float32)


def _times(value: Value) -> str:
    return "" if value.factor == 1 else f"× {value.factor:.6g}: "


def _pool(node: nir.AvgPool2d | nir.SumPool2d, value: Value, following: nir.NIRNode, options: Options) -> Read:
    if len(value.shape) != 3:
        raise ValueError(f"it pools images, and reads {value.shape}")
    window, stride, padding = (pair(field, getattr(node, field)) for field in ("kernel_size", "stride", "padding"))
    channels, *sides = value.shape
    layer: nnx.Module
    shape: tuple[int, ...]
    is_tiling = window == stride and padding == (0, 0) and min(window) >= 1
    if is_tiling and window == tuple(sides) and isinstance(following, nir.Flatten):
        layer, shape = nn.GlobalAverage(), (channels,)
    elif is_tiling and window == (2, 2) and min(sides) >= 2:
        layer, shape = nn.AvgPool2x2(), (channels, sides[0] // 2, sides[1] // 2)
    elif (
        is_tiling
        and not any(side % size for side, size in zip(sides, window, strict=True))
        and (sides[0] // window[0] == sides[1] // window[1])
    ):
        count = sides[0] // window[0]
        layer, shape = nn.AdaptiveAverage(count), (channels, count, count)
    elif (window, stride, padding) == ((3, 3), (2, 2), (1, 1)):
        layer, shape = nn.AvgPool3x3(), (channels, *(-(-side // 2) for side in sides))
    else:
        raise ValueError(
            f"it pools {value.shape} with window {window}, stride {stride} and padding {padding}; ours have 2×2 "
            "windows, 3×3 with stride 2 and padding 1, or windows that cover the image as a square grid"
        )
    is_sum = isinstance(node, nir.SumPool2d)
    note = f"an average, and × {window[0] * window[1]} behind it" if is_sum else ""
    return Read(layer, Value(shape, value.factor * (window[0] * window[1] if is_sum else 1)), note)


def _flatten(node: nir.Flatten, value: Value, following: nir.NIRNode, options: Options) -> Read:
    if len(value.shape) == 1:
        return Read(None, value, "flat already")
    start, end = int(node.start_dim), int(node.end_dim)
    if start not in (0, 1) or end not in (-1, len(value.shape) - 1, len(value.shape)):
        raise ValueError(f"it flattens the axes {start}…{end} of {value.shape}, and ours all of them")
    # Axis 1 of a batch is the first of an example: some exporters keep the numbers that their framework counts by.
    note = "axis 1 is counted with the batch" if start else ""
    return Read(nn.Flatten(), Value((int(np.prod(value.shape)),), value.factor, value.shape), note)


def _scale(node: nir.Scale, value: Value, following: nir.NIRNode, options: Options) -> Read:
    scale = numbers("scale", node.scale)
    entries = np.unique(scale)
    if scale.size > 1 and scale.shape != value.shape:
        raise ValueError(f"its scale has the shape {scale.shape} and reads {value.shape}")
    if len(entries) > 1 or not entries[0] > 0:
        raise ValueError(f"its entries are {entries[0]:.4g} to {entries[-1]:.4g}; one positive number can be read")
    return Read(None, value._replace(factor=value.factor * float(entries[0])), f"× {entries[0]:.6g} behind it")


def _lif(node: nir.LIF | nir.IF, value: Value, following: nir.NIRNode, options: Options) -> Read:
    order = options.neuron.order
    if order != "charge-fire" and "reset" in node.metadata:
        raise ValueError(f"its metadata say that it resets as it fires, and order={order!r} is asked for")
    found = dynamics_of(node, value.shape, options.dt, options.reset, options.tie)
    threshold = float(np.float32(found.threshold / value.factor))
    neuron = dataclasses.replace(
        options.neuron,
        decay=found.decay,
        learn_decay=options.neuron.learn_decay and found.decay < 1,
        threshold=threshold,
        height=1.0,
        reset=found.reset,
        tie=found.tie,
    )
    note = f"λ = {found.decay:.6g}, θ = {threshold:.6g}, {found.reset} reset, fires at m {found.tie} θ"
    note += "" if order == "charge-fire" else f", {order}"
    return Read(neuron, value._replace(factor=1.0), note)


READERS: dict[type, Callable[..., Read]] = {
    nir.Affine: _linear,
    nir.Linear: _linear,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
    nir.Flatten: _flatten,
    nir.Scale: _scale,
    nir.LIF: _lif,
    nir.IF: _lif,
}
REASONS = {
    "CubaLIF": "its synaptic current is a state of its own, and nn.lif() has the membrane alone",
    "CubaLI": "its synaptic current is a state of its own, and it hands on its membrane; our neurons hand on spikes",
    "LI": "it hands on its membrane, and our neurons hand on spikes",
    "I": "it hands on its membrane, and our neurons hand on spikes",
    "Threshold": "it has no membrane, and nn.lif() has one",
    "Conv1d": "our convolutions are of images",
    "Delay": "no layer of ours delays",
}
