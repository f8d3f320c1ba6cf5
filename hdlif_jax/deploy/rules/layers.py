"""How synapses, norms, attention, pooling and dropout are folded."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import nn, ops
from hdlif_jax.deploy.folding import MAX_UINT8, Folding, Value, float64
from hdlif_jax.deploy.graph import Conv, Fields, Linear
from hdlif_jax.deploy.register import rule


@rule(nn.Conv)
def fold_conv(folding: Folding, module: nn.Conv, name: str, source: str) -> None:
    """Integer levels, and a scale and a bias per channel, which its own bias is the first part of."""
    found = folding.synapse(source, module.kernel, module.weights, module.bias, module.gain)
    node = Conv(name, source, module.stride, module.padding, found.integer, found.reads)
    folding.emit(node, arrays=found.arrays)


@rule(nn.Linear)
def fold_linear(folding: Folding, module: nn.Linear, name: str, source: str) -> None:
    """As a convolution."""
    found = folding.synapse(source, module.kernel, module.weights, module.bias, module.gain)
    folding.emit(Linear(name, source, found.integer, found.reads), arrays=found.arrays)


@rule(nn.BatchNorm)
def fold_batch_norm(folding: Folding, module: nn.BatchNorm, name: str, source: str) -> None:
    """An affine map of the running statistics, whatever the statistics of training were taken over."""
    options = module.options
    gain = options.gain * float64(module.scale) / np.sqrt(float64(module.var) + options.epsilon)
    _norm(folding, name, source, gain, float64(module.bias) - gain * float64(module.mean))


@rule(nn.Identity)
def fold_identity(folding: Folding, module: nn.Identity, name: str, source: str) -> None:
    """What a network without normalisers has in their place."""
    folding.identity(name, source)


@rule(nn.Scale)
def fold_scale(folding: Folding, module: nn.Scale, name: str, source: str) -> None:
    """A factor of all channels."""
    folding.norm(name, source, float64(module.scale()).reshape(1, 1), np.zeros((1, 1)))


@rule(nnx.BatchNorm)
def fold_flax_batch_norm(folding: Folding, module: nnx.BatchNorm, name: str, source: str) -> None:
    """Flax's BatchNorm, with or without scale and bias."""
    if module.axis != -1:
        raise ValueError(f"{name} normalises axis {module.axis}; only norms of the last axis, axis=-1, can be folded")
    gain = 1 / np.sqrt(float64(module.var) + module.epsilon)
    gain = gain if module.scale is None else gain * float64(module.scale)
    bias = 0.0 if module.bias is None else float64(module.bias)
    _norm(folding, name, source, gain, bias - gain * float64(module.mean))


def _norm(folding: Folding, name: str, source: str, gain: np.ndarray, shift: np.ndarray) -> None:
    folding.norm(name, source, gain[None, :], shift[None, :])


@rule(nn.SECA)
def fold_attention(folding: Folding, module: nn.SECA, name: str, source: str) -> None:
    """See `ops.channel_attention`."""

    def apply(fields: Fields, x: jax.Array) -> jax.Array:
        return ops.channel_attention(fields["kernel"], fields["bias"][0], x)

    arrays = {"kernel": module.kernel[...], "bias": module.bias[...].reshape(1)}
    folding.function(name, folding.current(source), "attention", apply, arrays)


@rule(nn.AvgPool2x2)
def fold_average(folding: Folding, module: nn.AvgPool2x2, name: str, source: str) -> None:
    """A sum where levels stay integers, of which the next layer's scale takes a quarter; else an average."""
    value = folding.value(source)
    if value.max_level is None or 4 * value.max_level > MAX_UINT8:
        folding.function(name, source, "average", _average, value=value._replace(max_level=None))
    else:
        summed = Value(value.unit / 4, 4 * value.max_level, value.neuron)
        folding.function(name, source, "sum", lambda _, x: ops.sum_pool(x), value=summed)


@rule(nn.GlobalAverage)
def fold_global_average(folding: Folding, module: nn.GlobalAverage, name: str, source: str) -> None:
    """See `ops.global_average`."""
    value = folding.value(source)._replace(max_level=None)
    folding.function(name, source, "global-average", _global_average, value=value)


@rule(nn.AdaptiveAverage)
def fold_adaptive_average(folding: Folding, module: nn.AdaptiveAverage, name: str, source: str) -> None:
    """See `ops.adaptive_average`."""
    size, value = module.size, folding.value(source)._replace(max_level=None)

    def apply(fields: Fields, x: jax.Array) -> jax.Array:
        return ops.adaptive_average(x.astype(jnp.float32), size)

    folding.function(name, source, "adaptive-average", apply, value=value)


@rule(nn.AvgPool3x3)
def fold_average_3x3(folding: Folding, module: nn.AvgPool3x3, name: str, source: str) -> None:
    """See `ops.average_3x3`."""
    folding.function(name, folding.current(source), "average-3x3", lambda _, x: ops.average_3x3(x))


@rule(nn.MaxPool3x3)
def fold_maximum(folding: Folding, module: nn.MaxPool3x3, name: str, source: str) -> None:
    """See `ops.max_pool`."""
    folding.function(name, folding.current(source), "maximum", lambda _, x: ops.max_pool(x))


@rule(nn.MaxPool2x2)
def fold_maximum_2x2(folding: Folding, module: nn.MaxPool2x2, name: str, source: str) -> None:
    """See `ops.max_pool_2x2`."""
    folding.function(name, folding.current(source), "maximum", lambda _, x: ops.max_pool_2x2(x))


@rule(nn.Flatten)
def fold_flatten(folding: Folding, module: nn.Flatten, name: str, source: str) -> None:
    """All features of an input in one axis."""
    folding.function(name, source, "flatten", lambda _, x: x.reshape(x.shape[0], -1), value=folding.value(source))


@rule(nn.Dropout)
def fold_dropout(folding: Folding, module: nnx.Module, name: str, source: str) -> None:
    """The identity in inference."""
    folding.identity(name, source)


def _average(fields: Fields, x: jax.Array) -> jax.Array:
    return ops.average_pool(x.astype(jnp.float32))


def _global_average(fields: Fields, x: jax.Array) -> jax.Array:
    return ops.global_average(x.astype(jnp.float32))
