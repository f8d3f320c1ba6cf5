"""Post-activation residual networks, whose stream carries spikes: a neuron behind every sum (tdBN, TET, GLIF)."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, Widths, check_arguments
from hdlif_jax.nn.blocks import make_shortcut
from hdlif_jax.nn.cell import SpikeInput, emitted
from hdlif_jax.nn.head import LinearPair, SpikingHead
from hdlif_jax.nn.module import Carry, Stateful, Tick
from hdlif_jax.nn.pooling import GlobalAverage, MaxPool3x3
from hdlif_jax.nn.resnet import doubling
from hdlif_jax.nn.spec import Spec, refuse
from hdlif_jax.nn.stem import StemKind, StemShape, make_stem, stem_kind, stem_shape
from hdlif_jax.nn.synapses import Conv, Linear


class PostActivationBlock(Stateful):
    """Convolution → norm → neuron → convolution → norm, plus the shortcut, → neuron.

    The norms of what is summed are the spec's `residual_norm`.

    Attributes:
      emits: what the layer behind it reads.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, spikes: SpikeInput, spec: Spec, rngs: nnx.Rngs
    ):
        synapse: dict[str, Any] = {"weights": spec.weights, "bias": spec.bias, "init": spec.init, "rngs": rngs}
        self.conv1 = Conv(in_channels, out_channels, stride=stride, spikes=spikes, **synapse)
        self.norm1 = spec.norm(out_channels, rngs)
        self.neuron1 = spec.neuron(spec.num_steps, out_channels)
        self.dropout1 = spec.make_dropout()
        self.conv2 = Conv(out_channels, out_channels, spikes=emitted(self.neuron1, self.dropout1), **synapse)
        self.norm2 = spec.summed_norm(out_channels, rngs)
        shape: dict[str, Any] = {"stride": stride, "spikes": spikes}
        self.shortcut: Any = make_shortcut(in_channels, out_channels, **shape, spec=spec, rngs=rngs)
        self.neuron2 = spec.second(spec.num_steps, out_channels)
        self.dropout2 = spec.make_dropout()
        self.emits = emitted(self.neuron2, self.dropout2)

    def __call__(self, state: Any, spikes: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: spikes `[B, H, W, C_in]` to spikes `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        carry = Carry(state, tick)
        hidden = carry.through(self.norm1(self.conv1(spikes)), self.neuron1, self.dropout1)
        shortcut = spikes if self.shortcut is None else self.shortcut(spikes)
        current = self.norm2(self.conv2(hidden)) + shortcut
        output = carry.through(current, self.neuron2, self.dropout2)
        return carry.state, output


class PostActivationResNet(Stateful):
    """Stem and its neuron, stages of post-activation blocks, global average of the spikes, linear head.

    As in `SpikingResNet` a step has two parts: `encode`, up to the current of the first neurons, and `__call__`.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stage_sizes: number of blocks per stage.
      widths: channels per stage.
      strides: stride of the first block of each stage.
      stem: shape of the first layer.
      stem_width: channels of the first layer; None is those of the first stage.
      head_features: width of a hidden layer of the head; None for none.
      head_neurons: whether there are neurons in that layer; without, it is GLIF's pair of layers.
      spec: neurons, norms and weights.
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
        strides: Widths,
        stem: StemShape = StemShape(),
        stem_width: Count | None = None,
        head_features: Count | None = None,
        head_neurons: bool = True,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        refuse(spec, "post-activation ResNet", "attention")
        if not len(stage_sizes) == len(widths) == len(strides):
            raise ValueError(
                f"stage_sizes, widths and strides have {len(stage_sizes)}, {len(widths)} and {len(strides)} entries; "
                "give each one entry per stage"
            )
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        in_channels = stem_width or widths[0]
        self.stem = make_stem(input_shape[-1], in_channels, stem, spec, rngs)
        self.stem_norm = spec.norm(in_channels, rngs)
        self.stem_pool = MaxPool3x3() if stem.pools and not stem.pools_spikes else None
        self.spike_pool = MaxPool3x3() if stem.pools and stem.pools_spikes else None
        self.neuron = spec.neuron(spec.num_steps, in_channels)
        self.dropout = spec.make_dropout()
        spikes, scale = emitted(self.neuron, self.dropout), stem.stride * (2 if stem.pools else 1)
        self.blocks: nnx.List[Any] = nnx.List()
        for size, width, stage_stride in zip(stage_sizes, widths, strides, strict=True):
            for stride in (stage_stride, *(1,) * (size - 1)):
                shape: dict[str, Any] = {"stride": stride, "spikes": spikes}
                block = PostActivationBlock(in_channels, width, **shape, spec=spec, rngs=rngs)
                self.blocks.append(block)
                in_channels, spikes, scale = width, block.emits, scale * stride
        self.average = GlobalAverage()
        height, width = (-(-side // scale) for side in input_shape[:2])
        reads: dict[str, Any] = {"spikes": spikes._replace(pooled=height * width), "rngs": rngs}
        self.head: Any
        if head_features is None:
            self.head = Linear(in_channels, num_classes, **reads)
        elif head_neurons:
            self.head = SpikingHead(in_channels, head_features, num_classes, spec=spec, **reads)
        else:
            self.head = LinearPair(in_channels, head_features, num_classes, **reads)

    def encode(self, x: jax.Array) -> jax.Array:
        """The stem up to its neuron: input `[B, H, W, C]` to current `[B, H', W', C']`."""
        current: jax.Array = self.stem_norm(self.stem(x))
        return current if self.stem_pool is None else self.stem_pool(current)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the stem's current `[B, H', W', C']` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        spikes = carry.through(current, self.neuron, self.dropout)
        spikes = spikes if self.spike_pool is None else self.spike_pool(spikes)
        spikes = carry.through(spikes, *self.blocks)
        features = self.average(spikes)
        logits = carry(self.head, features) if isinstance(self.head, SpikingHead) else self.head(features)
        return carry.state, logits


@check_arguments
def post_resnet18(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> PostActivationResNet:
    """Post-activation ResNet-18: stages of 2, 2, 2, 2 blocks; arguments as `resnet18`.

    Raises:
      ValueError: a stem that does not fit the images, or options that this family does not have.
    """
    return _doubling_network(input_shape, num_classes, (2, 2, 2, 2), width, stem, spec=spec, rngs=rngs)


@check_arguments
def post_resnet34(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> PostActivationResNet:
    """Post-activation ResNet-34: stages of 3, 4, 6, 3 blocks; arguments as `resnet18`."""
    return _doubling_network(input_shape, num_classes, (3, 4, 6, 3), width, stem, spec=spec, rngs=rngs)


@check_arguments
def glif_resnet18(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> PostActivationResNet:
    """`post_resnet18` with the head of GLIF's code for CIFAR-10: two linear layers, 4·width features between them."""
    head: dict[str, Any] = {"head_features": 4 * width, "head_neurons": False}
    return _doubling_network(input_shape, num_classes, (2, 2, 2, 2), width, stem, **head, spec=spec, rngs=rngs)


@check_arguments
def post_resnet19(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 128,
    stem_width: Count | None = None,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> PostActivationResNet:
    """Post-activation ResNet-19: stages of 3, 3, 2 blocks and a hidden layer of 2·width neurons.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      width: channels of the first stage; each stage doubles them.
      stem_width: channels of the stem; None is half of `width`, which the paper's Table 1 and TET's code have. GLIF's
        code has `width`.
      stem: as of `resnet18`.
      spec: neurons, norms and weights.
      rngs: source of the initial kernels.

    Raises:
      ValueError: a stem that does not fit the images, or options that this family does not have.
    """
    return PostActivationResNet(
        input_shape,
        num_classes,
        stage_sizes=(3, 3, 2),
        widths=doubling(width, 3),
        strides=(1, 2, 2),
        stem=stem_shape(stem_kind(stem, input_shape), num_classes),
        stem_width=max(1, width // 2) if stem_width is None else stem_width,
        head_features=2 * width,
        spec=spec,
        rngs=rngs,
    )


def _doubling_network(
    input_shape: ImageShape,
    num_classes: int,
    stage_sizes: tuple[int, ...],
    width: int,
    stem: StemKind | None,
    **options: Any,
) -> PostActivationResNet:
    """Four stages that double the channels and, but for the first, halve the image."""
    return PostActivationResNet(
        input_shape,
        num_classes,
        stage_sizes=stage_sizes,
        widths=doubling(width, 4),
        strides=(1, 2, 2, 2),
        stem=stem_shape(stem_kind(stem, input_shape), num_classes),
        **options,
    )
