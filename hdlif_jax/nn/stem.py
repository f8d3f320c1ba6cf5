"""The first layer of a ResNet, by the images that it reads."""

from typing import Literal, NamedTuple

from flax import nnx

from hdlif_jax.checks import ImageShape
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Conv

StemKind = Literal["cifar", "imagenet", "events"]


class StemShape(NamedTuple):
    """Convolution of a stem, and the 3×3 maximum with stride 2 that follows it.

    Attributes:
      kernel_size: of the convolution.
      stride: of the convolution.
      pools: whether a maximum follows.
      pools_spikes: whether that maximum is of the spikes behind the stem's neuron, as in SpikingJelly's networks, and
        not of the current before it; of post-activation networks alone.
    """

    kernel_size: int = 3
    stride: int = 1
    pools: bool = False
    pools_spikes: bool = False


def make_stem(in_channels: int, out_channels: int, shape: StemShape, spec: Spec, rngs: nnx.Rngs) -> Conv:
    """The first convolution of a network."""
    return Conv(
        in_channels,
        out_channels,
        shape.kernel_size,
        stride=shape.stride,
        weights=spec.first_weights,
        bias=spec.bias,
        init=spec.first_init,
        rngs=rngs,
    )


def stem_kind(stem: StemKind | None, input_shape: ImageShape) -> StemKind:
    """The stem that is asked for, or that fits the images; raises ValueError where it does not."""
    height, width, channels = input_shape
    if stem is None:
        if channels == 2:
            return "events"
        return "imagenet" if min(height, width) >= 128 else "cifar"
    if stem == "events" and channels != 2:
        raise ValueError(
            f"stem='events' reads 2 channels, one per polarity, but input_shape={input_shape} has {channels}; "
            "use stem='cifar' or stem='imagenet' for images"
        )
    return stem


def stem_shape(kind: StemKind, num_classes: int) -> StemShape:
    """What a kind of stem is made of."""
    pools = kind != "events" and num_classes >= 200
    return StemShape(7, 2, pools) if kind == "imagenet" else StemShape(pools=pools)
