"""Pre-activation residual networks whose stream carries currents (Fig. 3; the MS-ResNet layout)."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.checks import Count, ImageShape, Widths, check_arguments
from hdlif_jax.nn.blocks import ResidualBlock
from hdlif_jax.nn.head import SpikingHead
from hdlif_jax.nn.module import Carry, Stateful, Tick
from hdlif_jax.nn.pooling import GlobalAverage, MaxPool3x3
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.stem import StemKind, StemShape, make_stem, stem_kind, stem_shape
from hdlif_jax.nn.synapses import Linear


class SpikingResNet(Stateful):
    """Stem, stages of residual blocks, global average of the currents, linear head.

    A step has two parts. `encode` turns an input into the current of the first block and has no memory: on a static
    image it is the same at all time-steps and runs once. `__call__` is everything behind it.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      stage_sizes: number of blocks per stage.
      widths: channels per stage; the stem has the first.
      strides: stride of the first block of each stage.
      stem: shape of the first layer.
      head_features: width of a hidden layer of neurons in the head; None for none.
      spec: neurons, norms, weights and attention.
      rngs: source of the initial kernels.

    Raises:
      ValueError: the three per-stage sequences differ in length, or an image shape that is not (H, W, C).
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
        head_features: Count | None = None,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        if not len(stage_sizes) == len(widths) == len(strides) > 0:
            raise ValueError(
                f"stage_sizes, widths and strides have {len(stage_sizes)}, {len(widths)} and {len(strides)} entries; "
                "give each one entry per stage"
            )
        if stem.pools_spikes:
            raise ValueError("pools_spikes=True needs a neuron behind the stem, which a pre-activation ResNet has not")
        self.input_shape: tuple[int, ...] = input_shape
        self.num_classes = num_classes
        self.num_steps = spec.num_steps
        self.stem = make_stem(input_shape[-1], widths[0], stem, spec, rngs)
        self.stem_norm = spec.norm(widths[0], rngs)
        self.stem_pool = MaxPool3x3() if stem.pools else None
        self.blocks: nnx.List[Any] = nnx.List()
        in_channels = widths[0]
        for size, width, stride in zip(stage_sizes, widths, strides, strict=True):
            for index in range(size):
                block_stride = stride if index == 0 else 1
                block = ResidualBlock(in_channels, width, stride=block_stride, spec=spec, rngs=rngs)
                self.blocks.append(block)
                in_channels = width
        self.average = GlobalAverage()
        self.head = (
            Linear(in_channels, num_classes, rngs=rngs)
            if head_features is None
            else SpikingHead(in_channels, head_features, num_classes, spec=spec, rngs=rngs)
        )

    def encode(self, x: jax.Array) -> jax.Array:
        """The stem: input `[B, H, W, C]` to current `[B, H', W', widths[0]]`."""
        current = self.stem_norm(self.stem(x))
        return current if self.stem_pool is None else self.stem_pool(current)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the stem's current `[B, H', W', widths[0]]` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        for block in self.blocks:
            current = carry(block, current)
        features = self.average(current)
        logits = carry(self.head, features) if isinstance(self.head, SpikingHead) else self.head(features)
        return carry.state, logits


@check_arguments
def conv_net(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    widths: Widths = (32, 64, 64),
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingResNet:
    """A small network for small images: one residual block per width, halving the image at each but the first."""
    return SpikingResNet(
        input_shape,
        num_classes,
        stage_sizes=(1,) * len(widths),
        widths=widths,
        strides=(1,) + (2,) * (len(widths) - 1),
        spec=spec,
        rngs=rngs,
    )


@check_arguments
def resnet18(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingResNet:
    """ResNet-18: stages of 2, 2, 2, 2 blocks.

    Args:
      input_shape: (H, W, C) of one image or one frame of events.
      num_classes: width of the output.
      width: channels of the first stage; each stage doubles them.
      stem: "cifar" (3×3), "imagenet" (7×7 with stride 2) or "events" (3×3); a 3×3 maximum with stride 2 follows for
        images of 200 and more classes. None chooses: events for 2 channels, else by the size of the image.
      spec: neurons, norms, weights and attention.
      rngs: source of the initial kernels.

    Raises:
      ValueError: a stem that does not fit the images.
    """
    return SpikingResNet(
        input_shape,
        num_classes,
        stage_sizes=(2, 2, 2, 2),
        widths=doubling(width, 4),
        strides=(1, 2, 2, 2),
        stem=stem_shape(stem_kind(stem, input_shape), num_classes),
        spec=spec,
        rngs=rngs,
    )


@check_arguments
def resnet34(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingResNet:
    """ResNet-34: stages of 3, 4, 6, 3 blocks; arguments as `resnet18`."""
    return SpikingResNet(
        input_shape,
        num_classes,
        stage_sizes=(3, 4, 6, 3),
        widths=doubling(width, 4),
        strides=(1, 2, 2, 2),
        stem=stem_shape(stem_kind(stem, input_shape), num_classes),
        spec=spec,
        rngs=rngs,
    )


@check_arguments
def resnet19(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 128,
    stem: StemKind | None = None,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingResNet:
    """ResNet-19: stages of 3, 3, 2 blocks and a hidden layer of 2·width neurons; arguments as `resnet18`."""
    kind = stem_kind(stem, input_shape)
    return SpikingResNet(
        input_shape,
        num_classes,
        stage_sizes=(3, 3, 2),
        widths=doubling(width, 3),
        strides=(2 if kind == "events" else 1, 2, 2),
        stem=stem_shape(kind, num_classes),
        head_features=2 * width,
        spec=spec,
        rngs=rngs,
    )


def doubling(width: int, stages: int) -> tuple[int, ...]:
    """Channels of stages that double them."""
    return tuple(width * 2**stage for stage in range(stages))
