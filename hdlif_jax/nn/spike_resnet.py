"""The pre-activation residual network of SLTT, whose shortcuts take spikes (Meng et al., ICCV 2023)."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, Widths, check_arguments
from hdlif_jax.nn.cell import emitted
from hdlif_jax.nn.module import Carry, Stateful, Tick
from hdlif_jax.nn.pooling import GlobalAverage
from hdlif_jax.nn.resnet import doubling
from hdlif_jax.nn.spec import Spec, refuse
from hdlif_jax.nn.synapses import Conv, Linear

NETWORK = "pre-activation ResNet on spikes"


class SpikeBlock(Stateful):
    """h = neuron(norm(x)); the output is conv(neuron(norm(conv(h)))) plus h, or plus a 1×1 convolution of h.

    The shortcut has no norm. Dropout stands before the second convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, spec: Spec, rngs: nnx.Rngs):
        synapse: dict[str, Any] = {"weights": spec.weights, "bias": spec.bias, "init": spec.init, "rngs": rngs}
        self.norm1 = spec.norm(in_channels, rngs)
        self.neuron1 = spec.neuron(spec.num_steps, in_channels)
        spikes = self.neuron1.emits
        self.conv1 = Conv(in_channels, out_channels, stride=stride, spikes=spikes, **synapse)
        self.norm2 = spec.norm(out_channels, rngs)
        self.neuron2 = spec.second(spec.num_steps, out_channels)
        self.dropout2 = spec.make_dropout()
        self.conv2 = Conv(out_channels, out_channels, spikes=emitted(self.neuron2, self.dropout2), **synapse)
        keeps_shape = stride == 1 and in_channels == out_channels
        self.shortcut = (
            None if keeps_shape else Conv(in_channels, out_channels, 1, stride=stride, spikes=spikes, **synapse)
        )

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: current `[B, H, W, C_in]` to current `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        carry = Carry(state, tick)
        spikes = carry(self.neuron1, self.norm1(current))
        hidden = carry.through(self.norm2(self.conv1(spikes)), self.neuron2, self.dropout2)
        shortcut = spikes if self.shortcut is None else self.shortcut(spikes)
        return carry.state, self.conv2(hidden) + shortcut


class SpikeResNet(Stateful):
    """Stem, stages of such blocks, norm and neuron, global average of the spikes, linear head.

    As in `SpikingResNet` a step has two parts: `encode`, the first convolution, and `__call__`.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stage_sizes: number of blocks per stage.
      widths: channels per stage; the stem has the first.
      spec: neurons, norms and weights. The stem has no bias.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have, or per-stage sequences that differ in length.
    """

    @check_arguments
    def __init__(
        self,
        input_shape: ImageShape,
        num_classes: Count,
        *,
        stage_sizes: Widths,
        widths: Widths,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        refuse(spec, NETWORK, "attention", "residual_norm", "identity_norm")
        if len(stage_sizes) != len(widths):
            raise ValueError(
                f"stage_sizes and widths have {len(stage_sizes)} and {len(widths)} entries; give each one per stage"
            )
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        in_channels, (height, width) = widths[0], input_shape[:2]
        weights: dict[str, Any] = {"weights": spec.first_weights, "init": spec.first_init}
        self.stem = Conv(input_shape[-1], in_channels, **weights, rngs=rngs)
        self.blocks: nnx.List[Any] = nnx.List()
        for stage, (size, channels) in enumerate(zip(stage_sizes, widths, strict=True)):
            for index in range(size):
                stride = 2 if stage and index == 0 else 1
                self.blocks.append(SpikeBlock(in_channels, channels, stride=stride, spec=spec, rngs=rngs))
                in_channels, height, width = channels, -(-height // stride), -(-width // stride)
        self.norm = spec.norm(in_channels, rngs)
        self.neuron = spec.neuron(spec.num_steps, in_channels)
        self.average = GlobalAverage()
        spikes = self.neuron.emits._replace(pooled=height * width)
        self.head = Linear(in_channels, num_classes, spikes=spikes, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """The first convolution: input `[B, H, W, C]` to current `[B, H, W, widths[0]]`."""
        return self.stem(x)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the stem's current `[B, H, W, widths[0]]` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        current = carry.through(current, *self.blocks)
        spikes = carry(self.neuron, self.norm(current))
        return carry.state, self.head(self.average(spikes))


@check_arguments
def spike_resnet18(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(bias=True),
    rngs: nnx.Rngs,
) -> SpikeResNet:
    """SLTT's ResNet-18 for small images: stages of 2, 2, 2, 2 blocks.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      width: channels of the first stage; each stage doubles them.
      spec: neurons, norms and weights; by default with biases, as in SLTT's code.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have.
    """
    return SpikeResNet(
        input_shape, num_classes, stage_sizes=(2, 2, 2, 2), widths=doubling(width, 4), spec=spec, rngs=rngs
    )
