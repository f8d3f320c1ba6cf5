"""Convolution, pooling, attention and normalisation as pure functions, which networks and deployed graphs both call.

Spikes are levels 0…2ⁿ − 1 times s and Ŵ is −1, 0 or 1 times a scale, so that a convolution is one of small integers,
accumulated in int32 without rounding, times the two scales: exact, and faster on CPUs where a layer is wide enough
(`xla_cpu.prefers_integers`). The gradient is that of the float convolution.
"""

import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from hdlif_jax import conv_forms, xla_cpu

MAX_LEVEL = 127  # of an int8


def float_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int | None = None) -> jax.Array:
    """Convolution, by default padded by half the kernel all round.

    Args:
      x: `[B, H, W, C_in]`.
      kernel: `[k, k, C_in, C_out]`.
      stride: of the output.
      padding: rows and columns of zeros p on every side; None is ⌊k/2⌋.

    Returns:
      `[B, ⌊(H + 2p − k)/stride⌋ + 1, ⌊(W + 2p − k)/stride⌋ + 1, C_out]`, by default of an odd k
      `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`.
    """
    _check_images_and_kernel(x, kernel)
    padding = kernel.shape[0] // 2 if padding is None else padding
    return _float_conv(xla_cpu.computed_once(x), kernel, stride, padding)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _float_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    form = convolve if xla_cpu.on_cpu() else conv_forms.plain
    return form(x, kernel, stride, padding)


@functools.partial(_float_conv.defjvp, symbolic_zeros=True)
def _float_conv_jvp(
    stride: int, padding: int, primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    convolved = _float_conv(x, kernel, stride, padding)
    along = []
    if not isinstance(x_dot, SymbolicZero):  # as of data, and of what is seen as a constant
        along.append(_along_images(x_dot, kernel, stride, padding))
    if not isinstance(kernel_dot, SymbolicZero):
        along.append(_along_kernel(x, kernel_dot, stride, padding))
    return convolved, functools.reduce(jnp.add, along) if along else jnp.zeros_like(convolved)


def _along_images(x_dot: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """The derivative of a convolution along the images; its transpose is the gradient of the images."""
    return conv_forms.plain(x_dot, kernel, stride, padding)


def _along_kernel(x: jax.Array, kernel_dot: jax.Array, stride: int, padding: int) -> jax.Array:
    """The derivative of a convolution along its kernel; its transpose is the gradient of the kernel."""
    form = conv_forms.by_kernel if xla_cpu.prefers_long_rows(x.shape) else conv_forms.plain
    return form(x, kernel_dot, stride, padding)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def integer_conv(
    spikes: jax.Array, kernel: jax.Array, unit: float, stride: int, padding: int | None = None
) -> jax.Array:
    """`float_conv` of spikes on a grid and a quantised kernel, computed in integers.

    Args:
      spikes: integers 0…127 times `unit`, `[B, H, W, C_in]`.
      kernel: Ŵ with one scale per output channel, `[k, k, C_in, C_out]`.
      unit: size of one spike level.
      stride: of the output.
      padding: as of `float_conv`.

    Returns:
      What `float_conv` gives; the only roundings are those of the two scales. So are its gradients; theirs along
      `spikes`, of which only the levels are kept, are zero.
    """
    _check_images_and_kernel(spikes, kernel)
    chex.assert_type((spikes, kernel), float)
    scale = jnp.max(jnp.abs(kernel), (0, 1, 2)) * unit
    padding = kernel.shape[0] // 2 if padding is None else padding
    sums = convolve(_levels(spikes, unit), jnp.sign(kernel).astype(jnp.int8), stride, padding, jnp.int32)
    return sums.astype(kernel.dtype) * scale[None, None, None, :]


def _levels(spikes: jax.Array, unit: float) -> jax.Array:
    return jnp.round(spikes * (1 / unit)).astype(jnp.int8)


@integer_conv.defjvp
def _integer_conv_jvp(
    unit: float,
    stride: int,
    padding: int | None,
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    spikes, kernel = primals
    sides = kernel.shape[0] // 2 if padding is None else padding

    # What is kept for the way back are the levels, a quarter of the memory of float spikes: those are made again there.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def derivative(levels: jax.Array, kernel: jax.Array, spikes_dot: jax.Array, kernel_dot: jax.Array) -> jax.Array:
        spikes = xla_cpu.computed_once(levels.astype(kernel.dtype) * unit)
        along_images = _along_images(xla_cpu.computed_once(spikes_dot), kernel, stride, sides)
        return along_images + _along_kernel(spikes, kernel_dot, stride, sides)

    convolved = integer_conv(spikes, kernel, unit, stride, padding)  # and not its sums, which have no derivative
    return convolved, derivative(_levels(spikes, unit), kernel, *tangents)


def convolve(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, accumulator: jax.typing.DTypeLike | None = None
) -> jax.Array:
    """2-D convolution with the same rows and columns of zeros on both sides; XLA's "SAME" differs at stride 2.

    In the form that is the fastest on CPUs, whatever machine this runs on; `conv_forms.plain` is XLA's own.

    Args:
      x: `[B, H, W, C_in]`.
      kernel: `[k, k, C_in, C_out]` of the same type.
      stride: in both directions.
      padding: rows and columns of zeros on every side.
      accumulator: type of the sums; that of `x` by default.

    Raises:
      AssertionError: other ranks, or images and kernel of two types.
    """
    _check_images_and_kernel(x, kernel)
    columns = xla_cpu.columns_at_once(kernel.shape, jnp.issubdtype(x.dtype, jnp.integer))
    if columns > 1:
        return conv_forms.by_columns(x, kernel, stride, padding, columns, accumulator)
    return conv_forms.plain(x, kernel, stride, padding, accumulator)


def average_pool(x: jax.Array) -> jax.Array:
    """Average over 2×2 without overlap, `[..., H, W, C]` to `[..., ⌊H/2⌋, ⌊W/2⌋, C]`; an odd last row is cut."""
    return jnp.mean(_squares(x), (-4, -2))


def sum_pool(x: jax.Array) -> jax.Array:
    """Sum over 2×2 without overlap, in the type of `x`; shapes as `average_pool`."""
    return jnp.sum(_squares(x), (-4, -2), dtype=x.dtype)


def max_pool(x: jax.Array) -> jax.Array:
    """Maximum over 3×3 with stride 2, `[..., H, W, C]` to `[..., ⌈H/2⌉, ⌈W/2⌉, C]`."""
    return _windows(x, -jnp.inf, jax.lax.max)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Maximum over 2×2 without overlap; shapes as `average_pool`."""
    return jnp.max(_squares(x), (-4, -2))


def global_average(x: jax.Array) -> jax.Array:
    """Average over the image, `[..., H, W, C]` to `[..., C]`."""
    _check_images(x)
    return jnp.mean(x, (-3, -2))


def average_3x3(x: jax.Array) -> jax.Array:
    """Average over 3×3 with stride 2, zeros around the image counted, `[..., H, W, C]` to `[..., ⌈H/2⌉, ⌈W/2⌉, C]`."""
    return _windows(x, 0.0, jax.lax.add) / 9


def adaptive_average(x: jax.Array, size: int) -> jax.Array:
    """Average over a grid of size × size windows that cover the image, `[..., H, W, C]` to `[..., size, size, C]`.

    Window i of a side of n is ⌊i·n/size⌋ … ⌈(i+1)·n/size⌉ − 1, as in PyTorch: a smaller image is repeated.
    """
    _check_images(x)
    for axis in (-3, -2):
        side = x.shape[axis]
        windows = [slice(i * side // size, -(-(i + 1) * side // size)) for i in range(size)]
        means = [jnp.mean(jax.lax.slice_in_dim(x, w.start, w.stop, axis=axis), axis, keepdims=True) for w in windows]
        x = jnp.concatenate(means, axis)
    return x


def channel_attention(kernel: jax.Array, bias: jax.Array, current: jax.Array) -> jax.Array:
    """σ(Conv1d(GAP(I))) ⊙ I: one filter over the channels (Eq. 9), computed in float32.

    Args:
      kernel: `[K]`, K odd.
      bias: scalar.
      current: I `[..., H, W, C]`.

    Raises:
      AssertionError: other ranks, or a current that is not floating.
    """
    chex.assert_rank(kernel, 1, custom_message="the filter of channel attention is [K]")
    _check_images(current)
    chex.assert_type(current, float)
    size, channels = kernel.shape[0], current.shape[-1]
    pooled = jnp.mean(current, (-3, -2), dtype=jnp.float32)
    padded = jnp.pad(pooled, [(0, 0)] * (pooled.ndim - 1) + [(size // 2, size // 2)])
    filtered = sum(kernel[offset] * padded[..., offset : offset + channels] for offset in range(size))
    return jax.nn.sigmoid(filtered + bias).astype(current.dtype)[..., None, None, :] * current


def normalize(inputs: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
    """Inputs `[..., C]` to float32 with zero mean and unit variance per channel.

    Args:
      inputs: levels 0…255 of an integer type, or floats in a unit of their own.
      mean: per channel: of levels in [0, 1], of floats in their unit.
      std: per channel, likewise.
    """
    channels = (1,) * (inputs.ndim - 1) + (-1,)
    mean_, std_ = (jnp.asarray(values, jnp.float32).reshape(channels) for values in (mean, std))
    return (intensities(inputs) - mean_) / std_


def intensities(inputs: jax.Array) -> jax.Array:
    """Levels 0…255 of an integer type to float32 in [0, 1]; floats, whose unit is their own, to float32."""
    values = inputs.astype(jnp.float32)
    return values if jnp.issubdtype(inputs.dtype, jnp.floating) else values / 255


def _windows(x: jax.Array, start: float, join: Callable[..., Any]) -> jax.Array:
    """3×3 windows with stride 2, joined to one value each."""
    _check_images(x)
    leading = x.ndim - 3
    joined: jax.Array = jax.lax.reduce_window(
        x,
        start,  # as a number, by which JAX knows the derivative
        join,
        (1,) * leading + (3, 3, 1),
        (1,) * leading + (2, 2, 1),
        ((0, 0),) * leading + ((1, 1), (1, 1), (0, 0)),
    )
    return joined


def _squares(x: jax.Array) -> jax.Array:
    """`[..., H, W, C]` to `[..., ⌊H/2⌋, 2, ⌊W/2⌋, 2, C]`."""
    _check_images(x)
    *leading, height, width, channels = x.shape
    even = x[..., : height // 2 * 2, : width // 2 * 2, :]
    return even.reshape(*leading, height // 2, 2, width // 2, 2, channels)


def _check_images(x: jax.Array) -> None:
    chex.assert_shape(x, (..., None, None, None), custom_message="images are [..., H, W, C]")


def _check_images_and_kernel(x: jax.Array, kernel: jax.Array) -> None:
    chex.assert_rank((x, kernel), 4, custom_message="a convolution takes [B, H, W, C_in] and [k, k, C_in, C_out]")
    chex.assert_trees_all_equal_dtypes(x, kernel, custom_message="images and kernel of a convolution have one type")


def unstack(x: jax.Array) -> list[jax.Array]:
    """The steps of `[T, ...]`, whose gradients are put together once: that of x[t] alone is an array of all of x.

    In memory and time of a sequence's gradient that is T instead of T².
    """
    return [step[0] for step in jax.lax.split(x, [1] * len(x))]
