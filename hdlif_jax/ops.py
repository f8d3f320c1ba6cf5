"""Convolution of quantised spikes with binary or ternary kernels in integer arithmetic: exact, and faster on CPUs.

Spikes are levels 0…2ⁿ − 1 times s and Ŵ is −1, 0 or 1 times a scale, so that a convolution is one of small integers,
accumulated in int32 without rounding, times the two scales. The gradient is that of the float convolution.
"""

import functools

import jax
import jax.numpy as jnp

MAX_LEVEL = 127  # of an int8
MIN_OUT_CHANNELS = 24  # from which on int8 convolutions are the faster ones
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def prefers_integers(kernel_shape: tuple[int, ...]) -> bool:
    """Whether a convolution was measured to be faster in int8 than in float32 on the default backend.

    On CPUs that depends on the number of output channels alone (`benchmarks/integer_layers.py`): XLA has a fast int8
    kernel from so many on, and a slow one below. Elsewhere nothing was measured, so the float convolution stays.

    Args:
      kernel_shape: `(k, k, C_in, C_out)`.
    """
    return jax.default_backend() == "cpu" and kernel_shape[-1] >= MIN_OUT_CHANNELS


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def integer_conv(spikes: jax.Array, kernel: jax.Array, unit: float, stride: int) -> jax.Array:
    """`float_conv` of spikes on a grid and a quantised kernel, computed in integers.

    Args:
      spikes: integers 0…127 times `unit`, `[B, H, W, C_in]`.
      kernel: Ŵ with one scale per output channel, `[k, k, C_in, C_out]`, k odd.
      unit: size of one spike level.
      stride: of the output.

    Returns:
      `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`; the only roundings are those of the two scales.
    """
    return _forward(spikes, kernel, unit, stride)[0]


def float_conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolution padded by half the kernel all round, `[B, H, W, C_in]` to `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
    return _conv(x, kernel, stride, None)


def _forward(spikes, kernel, unit, stride):
    levels = jnp.round(spikes * (1 / unit)).astype(jnp.int8)
    scale = jnp.max(jnp.abs(kernel), (0, 1, 2)) * unit
    sums = _conv(levels, jnp.sign(kernel).astype(jnp.int8), stride, jnp.int32)
    return sums.astype(kernel.dtype) * scale[None, None, None, :], (levels, kernel)


def _backward(unit, stride, residuals, gradient):
    levels, kernel = residuals  # a quarter of the memory of float spikes
    spikes = levels.astype(kernel.dtype) * unit
    _, pullback = jax.vjp(lambda spikes, kernel: float_conv(spikes, kernel, stride), spikes, kernel)
    return pullback(gradient)


integer_conv.defvjp(_forward, _backward)


def _conv(x, kernel, stride, accumulator):
    padding = (kernel.shape[0] // 2,) * 2  # both sides alike; XLA's "SAME" differs at stride 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (padding, padding),
        dimension_numbers=DIMENSIONS,
        preferred_element_type=accumulator,
    )
