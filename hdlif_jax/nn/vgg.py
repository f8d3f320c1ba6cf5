"""VGG networks of units convolution → norm [→ SECA] → neuron, with average pooling of the spikes."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, check_arguments
from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.cell import SpikeInput, emitted
from hdlif_jax.nn.inits import Init
from hdlif_jax.nn.module import Carry, Module, Stateful, Tick
from hdlif_jax.nn.pooling import AdaptiveAverage, AvgPool2x2, Flatten, GlobalAverage
from hdlif_jax.nn.spec import Spec, refuse
from hdlif_jax.nn.synapses import Conv, Linear
from hdlif_jax.quantize import WeightKind


class ConvUnit(Module):
    """Convolution 3×3 → norm [→ SECA_I], and the neuron that reads it, with its dropout."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        weights: WeightKind,
        init: Init,
        spikes: SpikeInput | None,
        drops: bool,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            in_channels,
            out_channels,
            stride=stride,
            weights=weights,
            spikes=spikes,
            bias=spec.bias,
            init=init,
            rngs=rngs,
        )
        self.norm = spec.norm(out_channels, rngs)
        self.attention = None if spec.attention == "none" else SECA(rngs=rngs)
        self.neuron = spec.neuron(spec.num_steps, out_channels)
        self.dropout = spec.make_dropout() if drops else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """The memoryless part, up to the neuron: `[B, H, W, C_in]` to the neuron's current `[B, H, W, C_out]`."""
        current = self.norm(self.conv(x))
        return current if self.attention is None else self.attention(current)


class LinearUnit(Module):
    """Linear layer, and the neuron that reads it, with its dropout."""

    def __init__(self, in_features: int, out_features: int, *, spikes: SpikeInput, spec: Spec, rngs: nnx.Rngs):
        self.linear = Linear(
            in_features,
            out_features,
            weights=spec.weights,
            spikes=spikes,
            bias=spec.bias,
            init=spec.init,
            rngs=rngs,
        )
        self.neuron = spec.neuron(spec.num_steps, out_features)
        self.dropout = spec.make_dropout()

    def __call__(self, x: jax.Array) -> jax.Array:
        """The memoryless part, up to the neuron: `[B, C_in]` to the neuron's current `[B, C_out]`."""
        return self.linear(x)


class SpikingVGG(Stateful):
    """Stages of convolution units, each ended by an average of the spikes, then linear layers.

    As in `SpikingResNet` a step has two parts: `encode`, up to the current of the first neurons, and `__call__`.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stages: channels of each unit, per stage; a 2×2 average follows each stage, but for one that `map_size=1` follows.
      map_size: side of the map of averages that the linear layers read: 1 is the average over the image; None is the
        last stage as it is.
      strided: whether the last convolution of a stage has a stride of two, instead of the average.
      hidden: widths of hidden linear layers of neurons.
      head_bias: whether the last linear layer has a bias.
      first_weights: kernel of the first convolution, which then starts as the others; None is the spec's.
      drops_pooled: whether spikes that a 2×2 average follows are dropped too.
      spec: neurons, norms, weights, attention and dropout.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have, or images too small for the stages.
    """

    @check_arguments
    def __init__(
        self,
        input_shape: ImageShape,
        num_classes: Count,
        *,
        stages: tuple[tuple[Count, ...], ...],
        map_size: Count | None,
        strided: bool = False,
        hidden: tuple[Count, ...] = (),
        head_bias: bool = True,
        first_weights: WeightKind | None = None,
        drops_pooled: bool = True,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        _check_spec(spec)
        halvings = len(stages) - 1 if map_size == 1 else len(stages)
        sides = _sides_after(input_shape, halvings, strided)
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        ends = tuple(sum(map(len, stages[: stage + 1])) - 1 for stage in range(halvings))
        self.units: nnx.List[Any] = nnx.List()
        self.pools = nnx.List([] if strided else [AvgPool2x2() for _ in range(halvings)])
        self.pooled_units = () if strided else ends
        in_channels = input_shape[-1]
        spikes: Any = None
        weights, init = (spec.first_weights, spec.first_init) if first_weights is None else (first_weights, spec.init)
        for index, channels in enumerate(channels for stage in stages for channels in stage):
            pools = index in self.pooled_units
            unit = ConvUnit(
                in_channels,
                channels,
                stride=2 if strided and index in ends else 1,
                weights=weights,
                init=init,
                spikes=spikes,
                drops=drops_pooled or not pools,
                spec=spec,
                rngs=rngs,
            )
            self.units.append(unit)
            in_channels, weights, init = channels, spec.weights, spec.init
            spikes = emitted(unit.neuron, unit.dropout)._replace(pooled=4 if pools else 1)
        self.average = None if map_size in (None, 1) else AdaptiveAverage(map_size)
        self.flatten = GlobalAverage() if map_size == 1 else Flatten()
        if map_size is not None:
            windows = -(-sides[0] // map_size) * -(-sides[1] // map_size)
            spikes, sides = spikes._replace(pooled=windows * spikes.pooled), (map_size, map_size)
            spikes = spikes if map_size == 1 else spikes.off_grid  # windows of several sizes
        features = sides[0] * sides[1] * in_channels
        self.hidden: nnx.List[Any] = nnx.List()
        for width in hidden:
            self.hidden.append(LinearUnit(features, width, spikes=spikes, spec=spec, rngs=rngs))
            features, spikes = width, emitted(self.hidden[-1].neuron, self.hidden[-1].dropout)
        self.head = Linear(features, num_classes, spikes=spikes, bias=head_bias, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """The first unit up to its neuron: input `[B, H, W, C]` to current `[B, H, W, stages[0][0]]`."""
        current: jax.Array = self.units[0](x)
        return current

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the first neurons' current `[B, H, W, stages[0][0]]` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        spikes = current
        for index, unit in enumerate(self.units):
            spikes = carry.through(current if index == 0 else unit(spikes), unit.neuron, unit.dropout)
            if index in self.pooled_units:
                spikes = self.pools[self.pooled_units.index(index)](spikes)
        spikes = self.flatten(spikes if self.average is None else self.average(spikes))
        for unit in self.hidden:
            spikes = carry.through(unit(spikes), unit.neuron, unit.dropout)
        return carry.state, self.head(spikes)


def _check_spec(spec: Spec) -> None:
    refuse(spec, "VGG", "residual_norm", "identity_norm")
    if spec.attention == "seca-2":
        raise ValueError(
            "attention='seca-2' needs a residual block: it attends to the sum of a unit's input and output "
            "currents, and a VGG unit reads spikes; use attention='seca-1' or a ResNet"
        )
    if spec.second_neuron is not None:
        raise ValueError(
            "second_neuron is that of a residual block, such as a parallel one, and a VGG has no blocks; leave it "
            "unset, or use neuron=nn.parallel() for all neurons"
        )


def _sides_after(input_shape: ImageShape, halvings: int, strided: bool) -> tuple[int, int]:
    """Height and width of the last map; a stride rounds up, an average down."""
    height, width = (-(-side >> halvings) if strided else side >> halvings for side in input_shape[:2])
    if min(height, width) < 1:
        raise ValueError(
            f"input_shape={input_shape} is halved {halvings} times, which needs images of at least "
            f"{2**halvings}×{2**halvings}; use larger images or fewer stages"
        )
    return height, width
