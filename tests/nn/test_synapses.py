import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax.nn import Conv, Form, Linear
from hdlif_jax.quantize import weight_quantizer


def slow_conv(x, kernel, stride):
    """A convolution padded by half its kernel, in numpy loops."""
    size = kernel.shape[0]
    half = size // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    rows = range(0, x.shape[1], stride)
    columns = range(0, x.shape[2], stride)
    output = np.zeros((x.shape[0], len(rows), len(columns), kernel.shape[-1]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[:, row : row + size, column : column + size]
            output[:, i, j] = np.tensordot(window, kernel, 3)
    return output


@pytest.mark.parametrize("weights", ["float", "binary", "ternary"])
@pytest.mark.parametrize(("kernel_size", "stride", "size"), [(3, 1, 5), (3, 2, 5), (3, 2, 6), (1, 2, 5), (7, 2, 8)])
def test_convolution(weights, kernel_size, stride, size):
    conv = Conv(2, 3, kernel_size, stride=stride, weights=weights, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (2, size, size, 2))
    kernel = weight_quantizer(weights)(conv.kernel[...])
    np.testing.assert_allclose(conv(x), slow_conv(np.asarray(x), np.asarray(kernel), stride), atol=1e-5)


def test_a_kernel_that_is_quantised_already_is_used_as_it_is():
    conv = Conv(2, 3, weights="binary", rngs=nnx.Rngs(0))
    kernel = jnp.asarray(conv.kernel[...])
    conv.form = Form(train=True)
    np.testing.assert_array_equal(conv.effective_kernel(), kernel)


def test_linear():
    linear = Linear(4, 2, rngs=nnx.Rngs(0))
    linear.bias[...] = jnp.float32([1, -1])
    x = jnp.ones((3, 4))
    np.testing.assert_allclose(linear(x), np.asarray(x) @ np.asarray(linear.kernel[...]) + [1, -1], rtol=1e-6)


def test_unknown_weights():
    with pytest.raises(ValueError, match="weights='int4' is unknown"):
        Conv(2, 3, weights="int4", rngs=nnx.Rngs(0))
