"""The VGG networks of the paper and of the systems that it compares with, and a small one."""

from typing import Any

from flax import nnx

from hdlif_jax.checks import Count, ImageShape, Widths, check_arguments
from hdlif_jax.nn.cells import mem_bn
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.vgg import SpikingVGG


@check_arguments
def vgg(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    widths: Widths = (32, 64, 64),
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """A small VGG for small images: a convolution for each width, an average after each but the last.

    Args:
      input_shape: (H, W, C) of one image or one frame of events, halved at each width but the last.
      num_classes: width of the output.
      widths: channels of the convolutions; behind the last one comes the average over the image.
      spec: neurons, norms, weights, attention and dropout.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have, or images too small.
    """
    stages = tuple((width,) for width in widths)
    return SpikingVGG(input_shape, num_classes, stages=stages, map_size=1, spec=spec, rngs=rngs)


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
      spec: neurons, norms, weights, attention and dropout.
      rngs: source of the initial kernels.

    Raises:
      ValueError: options that this family does not have, or images too small.
    """
    stages = _scaled(width, ((1, 1), (2, 2), (4, 4), (8, 8, 8), (8,)))
    return SpikingVGG(input_shape, num_classes, stages=stages, map_size=1, spec=spec, rngs=rngs)


@check_arguments
def vgg_snn(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    strided: bool = False,
    spec: Spec = Spec(neuron=mem_bn()),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-SNN (VGG-11) for event frames: eight convolutions, one linear layer; arguments as `vgg13`.

    On event frames (2 channels) the first convolution is quantised too. With `strided`, strides of two stand in for the
    averages, as in the network that TET's script trains.
    """
    return SpikingVGG(
        input_shape,
        num_classes,
        stages=_scaled(width, ((1, 2), (4, 4), (8, 8), (8, 8))),
        map_size=None,
        strided=strided,
        first_weights=spec.weights if input_shape[-1] == 2 else None,
        spec=spec,
        rngs=rngs,
    )


@check_arguments
def vgg11(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-11 of OTTT and NDOT: the convolutions of VGG-SNN with three averages, global average, one linear layer.

    Arguments as `vgg13`.
    """
    stages = _scaled(width, ((1, 2), (4, 4), (8, 8), (8, 8)))
    return SpikingVGG(input_shape, num_classes, stages=stages, map_size=1, spec=spec, rngs=rngs)


@check_arguments
def vgg11_adaptive(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-11 of SLTT: five averages, and a linear layer that reads a map of 7×7 averages, whatever the image is.

    Arguments as `vgg13`; images are at least 32×32.
    """
    stages = _scaled(width, ((1,), (2,), (4, 4), (8, 8), (8, 8)))
    return SpikingVGG(input_shape, num_classes, stages=stages, map_size=7, spec=spec, rngs=rngs)


@check_arguments
def vgg11_strided(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(bias=True),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-11 of LTL: strides instead of averages, and two hidden linear layers of 8·width neurons.

    Arguments as `vgg13`.
    """
    stages = _scaled(width, ((1, 2), (4, 4), (8, 8), (8, 8)))
    options: dict[str, Any] = {"map_size": None, "strided": True, "hidden": (8 * width, 8 * width)}
    return SpikingVGG(input_shape, num_classes, stages=stages, **options, spec=spec, rngs=rngs)


@check_arguments
def vgg13_linear(
    input_shape: ImageShape,
    num_classes: Count,
    *,
    width: Count = 64,
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> SpikingVGG:
    """VGG-13 of DCT-SNN: ten convolutions, five averages, two hidden linear layers of 64·width neurons.

    The last layer has no bias, and spikes that an average follows are not dropped. Arguments as `vgg13`; images are at
    least 32×32.
    """
    stages = _scaled(width, ((1, 1), (2, 2), (4, 4), (8, 8), (8, 8)))
    options: dict[str, Any] = {"hidden": (64 * width, 64 * width), "head_bias": False, "drops_pooled": False}
    return SpikingVGG(input_shape, num_classes, stages=stages, map_size=None, **options, spec=spec, rngs=rngs)


def _scaled(width: int, stages: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(width * factor for factor in stage) for stage in stages)
