"""A convolution and its derivative in other forms: the same sums, which XLA's CPU backend computes faster.

`xla_cpu` says where each is faster, `ops` chooses. Images are `[B, H, W, C_in]` and kernels `[k, k, C_in, C_out]`,
with the same rows and columns of zeros, `padding`, on all four sides.
"""

import jax
import jax.numpy as jnp

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
CHUNKS = 4  # of input channels, in a kernel's gradient


def plain(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, accumulator: jax.typing.DTypeLike | None = None
) -> jax.Array:
    """The convolution as XLA has it; `accumulator` is the type of the sums, by default that of `x`."""
    sides = ((padding, padding), (padding, padding))
    return _convolution(x, kernel, (stride, stride), sides, accumulator)


def by_columns(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: int,
    columns: int,
    accumulator: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    """The convolution of so many output columns at once, as one of `columns` times as many output channels.

    The kernel of a later column lies further to the right in a wider window, whose other entries are zero. Images of
    few channels become wide enough for XLA's library, and what comes out lies in memory as it should.
    """
    size, out_width = kernel.shape[1], _out_size(x.shape[2], kernel.shape[1], stride, padding)
    turns = -(-out_width // columns)  # the last may end in columns that nobody reads
    shifts = [(stride * column, stride * (columns - 1 - column)) for column in range(columns)]
    wide = jnp.concatenate([jnp.pad(kernel, ((0, 0), shift, (0, 0), (0, 0))) for shift in shifts], -1)
    right = stride * (turns * columns - 1) + size - padding - x.shape[2]
    sides = ((padding, padding), (padding, right))
    sums = _convolution(x, wide, (stride, columns * stride), sides, accumulator)
    apart = sums.reshape(*sums.shape[:2], turns * columns, kernel.shape[-1])
    return apart[:, :, :out_width]


def by_kernel(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """The convolution as a linear function of the kernel alone, whose transpose is `kernel_gradient`.

    Made for the way back: forward it is slow.

    Args:
      x: with a number of channels that `CHUNKS` divides.
      kernel: of the same type.
      stride: of the output.
      padding: rows and columns of zeros on every side.
    """
    height, width = (_out_size(x.shape[1 + axis], kernel.shape[axis], stride, padding) for axis in (0, 1))
    output = jax.ShapeDtypeStruct((len(x), height, width, kernel.shape[-1]), x.dtype)
    transposed = jax.linear_transpose(lambda dy: kernel_gradient(x, dy, kernel.shape[:2], stride, padding), output)
    (sums,) = transposed(kernel)
    return jnp.asarray(sums)


def kernel_gradient(x: jax.Array, dy: jax.Array, size: tuple[int, ...], stride: int, padding: int) -> jax.Array:
    """The gradient of the kernel: ∂L/∂K[i, j, c, d] = Σ x[b, i + s·h − p, j + s·w − p, c] · dy[b, h, w, d].

    A convolution over the images with `dy` as kernel and the batch as the channels that are summed over. XLA's own form
    slides over 3×3 positions, of which three lie side by side in memory. Here columns and channels are one side,
    `W·C` long, on which a step of the kernel is C entries (a dilation): 3·C positions lie side by side, as a product of
    matrices wants them, and what comes out is the kernel as it lies in memory. Channels are cut into `CHUNKS`, since
    XLA shares out the work by these and by rows.

    Args:
      x: `[B, H, W, C_in]` with a number of channels that `CHUNKS` divides.
      dy: ∂L/∂y `[B, H', W', C_out]` of the same type.
      size: rows and columns of the kernel, (k, k).
      stride: s.
      padding: p.

    Returns:
      `[k, k, C_in, C_out]`.
    """
    (batch, height, width, in_channels), (out_height, out_width, out_channels) = x.shape, dy.shape[1:]
    chunk = in_channels // CHUNKS
    images = jnp.transpose(x.reshape(batch, height, width, CHUNKS, chunk), (3, 1, 2, 4, 0))
    below = stride * (out_height - 1) + size[0] - padding - height
    right = stride * (out_width - 1) + size[1] - padding - width
    gradients = _convolution(
        images.reshape(CHUNKS, height, width * chunk, batch),
        jnp.transpose(dy, (1, 2, 0, 3)),
        (1, 1),
        ((padding, below), (chunk * padding, chunk * right)),
        dilation=(stride, chunk * stride),
    )
    apart = gradients.reshape(CHUNKS, *size, chunk, out_channels)
    return jnp.transpose(apart, (1, 2, 0, 3, 4)).reshape(*size, in_channels, out_channels)


def _out_size(side: int, size: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - size) // stride + 1


def _convolution(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    accumulator: jax.typing.DTypeLike | None = None,
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=DIMENSIONS,
        preferred_element_type=accumulator,
    )
