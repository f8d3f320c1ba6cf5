"""VGG networks of units convolution → BatchNorm [→ SECA] → neuron, with average pooling of the spikes."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, check_arguments
from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.cell import SpikeInput
from hdlif_jax.nn.cells import mem_bn
from hdlif_jax.nn.inits import Init, he_normal
from hdlif_jax.nn.module import Carry, Module, Stateful, Tick
from hdlif_jax.nn.pooling import AvgPool2x2, Flatten, GlobalAverage
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Conv, Linear
from hdlif_jax.quantize import WeightKind


class ConvUnit(Module):
    """Convolution 3×3 → norm [→ SECA_I], and the neuron that reads it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        weights: WeightKind,
        init: Init,
        spikes: SpikeInput | None,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(in_channels, out_channels, weights=weights, spikes=spikes, init=init, rngs=rngs)
        self.norm = spec.norm(out_channels, rngs)
        self.attention = None if spec.attention == "none" else SECA(rngs=rngs)
        self.neuron = spec.neuron(spec.num_steps, out_channels)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The memoryless part, up to the neuron: `[B, H, W, C_in]` to the neuron's current `[B, H, W, C_out]`."""
        current = self.norm(self.conv(x))
        return current if self.attention is None else self.attention(current)


class SpikingVGG(Stateful):
    """Stages of convolution units, each ended by an average of the spikes, then one linear layer.

    As in `SpikingResNet` a step has two parts: `encode`, up to the current of the first neurons, and `__call__`.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stages: channels of each unit, per stage; a 2×2 average follows each stage.
      global_average: whether the average after the last stage is over the whole image.
      first_weights: kernel of the first convolution, which then starts as the others; None is float.
      spec: neurons, norms, weights and attention.
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
        global_average: bool,
        first_weights: WeightKind | None = None,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
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
        halvings = len(stages) - 1 if global_average else len(stages)
        height, width = input_shape[0] >> halvings, input_shape[1] >> halvings
        if min(height, width) < 1:
            raise ValueError(
                f"input_shape={input_shape} is halved {halvings} times, which needs images of at least "
                f"{2**halvings}×{2**halvings}; use larger images or fewer stages"
            )
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        self.units: nnx.List[Any] = nnx.List()
        self.pools = nnx.List([AvgPool2x2() for _ in range(halvings)])
        self.pooled_units = tuple(sum(map(len, stages[: stage + 1])) - 1 for stage in range(halvings))
        in_channels, spikes = input_shape[-1], None
        weights, init = ("float", he_normal()) if first_weights is None else (first_weights, spec.init)
        for channels in (channels for stage in stages for channels in stage):
            unit = ConvUnit(in_channels, channels, weights=weights, init=init, spikes=spikes, spec=spec, rngs=rngs)
            pooled = 4 if len(self.units) in self.pooled_units else 1
            self.units.append(unit)
            in_channels, weights, init = channels, spec.weights, spec.init
            spikes = unit.neuron.emits._replace(pooled=pooled)
        self.flatten = GlobalAverage() if global_average else Flatten()
        if global_average:
            spikes, height, width = self.units[-1].neuron.emits._replace(pooled=height * width), 1, 1
        self.head = Linear(height * width * in_channels, num_classes, spikes=spikes, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """The first unit up to its neuron: input `[B, H, W, C]` to current `[B, H, W, stages[0][0]]`."""
        current: jax.Array = self.units[0](x)
        return current

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the first neurons' current `[B, H, W, stages[0][0]]` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        spikes = current
        for index, unit in enumerate(self.units):
            spikes = carry(unit.neuron, current if index == 0 else unit(spikes))
            if index in self.pooled_units:
                spikes = self.pools[self.pooled_units.index(index)](spikes)
        return carry.state, self.head(self.flatten(spikes))


@check_arguments
def vgg13(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-13 for static images: ten convolutions, global average, one linear layer.

    Args:
      input_shape: (H, W, C) of one image, at least 16×16.
      num_classes: width of the output.
      width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.
      spec: neurons, norms, weights and attention.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have, or images too small.
    """
    stages = _scaled(width, ((1, 1), (2, 2), (4, 4), (8, 8, 8), (8,)))
    return SpikingVGG(input_shape, num_classes, stages=stages, global_average=True, spec=spec, rngs=rngs)


@check_arguments
def vgg_snn(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(neuron=mem_bn()),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-SNN (VGG-11) for event frames: eight convolutions, one linear layer; arguments as `vgg13`.

    On event frames (2 channels) the first convolution is quantised too.
    """
    return SpikingVGG(
        input_shape,
        num_classes,
        stages=_scaled(width, ((1, 2), (4, 4), (8, 8), (8, 8))),
        global_average=False,
        first_weights=spec.weights if input_shape[-1] == 2 else None,
        spec=spec,
        rngs=rngs,
    )


def _scaled(width: int, stages: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(width * factor for factor in stage) for stage in stages)
