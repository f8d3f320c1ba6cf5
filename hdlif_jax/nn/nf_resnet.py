"""The residual network without normalisers of OTTT: scales in their place, on standardised kernels.

Xiao et al., "Online Training Through Time for Spiking Neural Networks" (NeurIPS 2022), after Brock et al.,
"Characterizing Signal Propagation to Close the Performance Gap in Unnormalized ResNets" (ICLR 2021).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, Widths, check_arguments
from hdlif_jax.nn.blocks import make_shortcut
from hdlif_jax.nn.cell import emitted
from hdlif_jax.nn.cells import lif
from hdlif_jax.nn.module import Carry, Module, Stateful, Tick
from hdlif_jax.nn.norms import no_norm
from hdlif_jax.nn.pooling import AvgPool3x3, GlobalAverage
from hdlif_jax.nn.resnet import doubling
from hdlif_jax.nn.spec import Spec, refuse
from hdlif_jax.nn.stem import StemShape, make_stem
from hdlif_jax.nn.synapses import Conv, Linear

BRANCH = 0.2  # α, what a block's branch is multiplied with


class Scale(Module):
    """A constant factor, times a learnable one if it is told where that starts.

    Args:
      factor: the constant.
      start: of the learnable factor, a scalar; None for none.
    """

    @check_arguments
    def __init__(self, factor: float, start: float | None = None):
        self.factor = factor
        self.gain = None if start is None else nnx.Param(jnp.float32(start))

    def scale(self) -> jax.Array:
        """The whole factor, a scalar."""
        return jnp.float32(self.factor) if self.gain is None else self.factor * self.gain[...]

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, ...]` to the same shape and type."""
        return x * self.scale().astype(x.dtype)


class NFBlock(Stateful):
    """h = neuron(x/β); the output is .2·γ·conv(neuron(conv(h))) plus x, or plus a 1×1 convolution of h.

    β is the deviation that x has at the start by theory; γ is learned from 0. The norms of the spec, if it has any,
    stand behind the convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, deviation: float, spec: Spec, rngs: nnx.Rngs
    ):
        synapse: dict[str, Any] = {"weights": spec.weights, "bias": spec.bias, "init": spec.init, "rngs": rngs}
        self.scale = Scale(1 / deviation)
        self.neuron1 = spec.neuron(spec.num_steps, in_channels)
        self.dropout1, self.dropout2 = spec.make_dropout(), spec.make_dropout()
        spikes = emitted(self.neuron1, self.dropout1)
        self.conv1 = Conv(in_channels, out_channels, stride=stride, spikes=spikes, **synapse)
        self.norm1 = spec.norm(out_channels, rngs)
        self.neuron2 = spec.second(spec.num_steps, out_channels)
        self.conv2 = Conv(out_channels, out_channels, spikes=emitted(self.neuron2, self.dropout2), **synapse)
        self.norm2 = spec.summed_norm(out_channels, rngs)
        self.branch = Scale(BRANCH, 0.0)
        self.changes_shape = stride != 1 or in_channels != out_channels
        shape: dict[str, Any] = {"stride": stride, "spikes": spikes}
        self.shortcut: Any = make_shortcut(in_channels, out_channels, **shape, spec=spec, rngs=rngs)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: current `[B, H, W, C_in]` to current `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        carry = Carry(state, tick)
        spikes = carry.through(self.scale(current), self.neuron1, self.dropout1)
        hidden = carry.through(self.norm1(self.conv1(spikes)), self.neuron2, self.dropout2)
        shortcut = spikes if self.changes_shape else current
        shortcut = shortcut if self.shortcut is None else self.shortcut(shortcut)
        return carry.state, self.branch(self.norm2(self.conv2(hidden))) + shortcut


class NFResNet(Stateful):
    """Stem, average, stages of such blocks, global average of the currents, linear head that starts at zero.

    As in `SpikingResNet` a step has two parts: `encode`, the stem, and `__call__`.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stage_sizes: number of blocks per stage.
      widths: channels per stage; the stem has the first.
      spec: neurons and weights; standardised ones keep the currents' variance, which the scales go by.
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
        refuse(spec, "ResNet without normalisers", "attention")
        if len(stage_sizes) != len(widths):
            raise ValueError(
                f"stage_sizes and widths have {len(stage_sizes)} and {len(widths)} entries; give each one per stage"
            )
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        in_channels = widths[0]
        self.stem = make_stem(input_shape[-1], in_channels, StemShape(7, 2), spec, rngs)
        self.stem_norm = spec.norm(in_channels, rngs)
        self.stem_pool = AvgPool3x3()
        self.blocks: nnx.List[Any] = nnx.List()
        variance = 1.0
        for stage, (size, width) in enumerate(zip(stage_sizes, widths, strict=True)):
            for index in range(size):
                stride = 2 if stage and index == 0 else 1
                shape: dict[str, Any] = {"stride": stride, "deviation": math.sqrt(variance)}
                block = NFBlock(in_channels, width, **shape, spec=spec, rngs=rngs)
                self.blocks.append(block)
                variance, in_channels = (1.0 if block.changes_shape else variance) + BRANCH**2, width
        self.average = GlobalAverage()
        self.head = Linear(in_channels, num_classes, init=nnx.initializers.zeros, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """The stem: input `[B, H, W, C]` to current `[B, ⌈H/4⌉, ⌈W/4⌉, widths[0]]`."""
        return self.stem_pool(self.stem_norm(self.stem(x)))

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the stem's current to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        current = carry.through(current, *self.blocks)
        return carry.state, self.head(self.average(current))


@check_arguments
def nf_resnet34(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(neuron=lif(height=2.74), norm=no_norm(), weights="standardized", bias=True),
    rngs: nnx.Rngs,
) -> NFResNet:
    """OTTT's ResNet-34 for ImageNet without normalisers: stages of 3, 4, 6, 3 blocks.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      width: channels of the first stage; each stage doubles them.
      spec: neurons, weights and, by default, no norms. OTTT's spikes are of height 2.74, the gain that keeps the
        variance of currents.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have.
    """
    return NFResNet(input_shape, num_classes, stage_sizes=(3, 4, 6, 3), widths=doubling(width, 4), spec=spec, rngs=rngs)
