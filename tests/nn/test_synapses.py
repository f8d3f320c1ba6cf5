import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning
from hdlif_jax.nn import Conv, Form, GlobalAverage, Linear, Sequential, SpikeInput, lif, training_form, variables_of
from hdlif_jax.quantize import SpikeQuantizer, standardize, weight_quantizer
from tests.conftest import cross_entropy


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


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(5, 1, 0), (2, 2, 0), (4, 2, 1), (3, 1, 2)])
def test_other_paddings(kernel_size, stride, padding):
    """Zeros around the image by hand, and then none; integers and floats give the same sums and gradients."""
    options = {"weights": "ternary", "spikes": SpikeInput(SpikeQuantizer(0.25, 2))}
    conv = Conv(2, 3, kernel_size, stride=stride, padding=padding, **options, rngs=nnx.Rngs(0))
    x = 0.25 * jax.random.randint(jax.random.key(1), (2, 7, 6, 2), 0, 4).astype(jnp.float32)
    kernel = np.asarray(conv.quantized_kernel())
    padded = np.pad(np.asarray(x), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size,) * 2, (1, 2))[:, ::stride, ::stride]
    expected = np.einsum("bijchw,hwco->bijo", windows, kernel)
    conv.kernel[...] = kernel

    gradients = []
    for integer in (True, False):
        conv.form = Form(train=True, integer=integer)
        np.testing.assert_allclose(conv(x), expected, atol=1e-5)
        gradients.append(jax.grad(lambda x: jnp.sum(jnp.sin(conv(x))))(x))
    np.testing.assert_allclose(*gradients, atol=1e-5)


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


@pytest.mark.parametrize("weights", ["float", "ternary", "standardized"])
@pytest.mark.parametrize("integer", [True, False])
def test_a_bias_is_added_to_every_output(weights, integer):
    spikes = SpikeInput(SpikeQuantizer(0.25, 2))
    plain = Conv(2, 3, weights=weights, spikes=spikes, rngs=nnx.Rngs(0))
    biased = Conv(2, 3, weights=weights, spikes=spikes, bias=True, rngs=nnx.Rngs(0))
    biased.bias[...] = jnp.float32([0.5, -1.0, 2.0])
    x = jax.random.randint(jax.random.key(1), (2, 5, 5, 2), 0, 4).astype(jnp.float32) * 0.25
    for layer in (plain, biased):
        layer.kernel[...] = layer.quantized_kernel()
        layer.form = Form(train=True, integer=integer)
    np.testing.assert_allclose(biased(x), np.add(plain(x), np.float32([0.5, -1.0, 2.0])), atol=1e-6)
    bare = Linear(4, 3, bias=False, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(bare(jnp.eye(4)), bare.kernel[...], atol=1e-7)


def test_a_form_standardises_kernels_by_the_gain_that_it_is_given():
    """The gain has a gradient through Ŵ, also where Ŵ was made once per batch."""
    conv = Conv(2, 3, weights="standardized", bias=True, rngs=nnx.Rngs(0))
    model = Sequential(conv, lif(), GlobalAverage(), Linear(3, 2, rngs=nnx.Rngs(1)), num_steps=2, input_shape=(5, 5, 2))
    network, variables = training_form(model), variables_of(model)
    params = jax.tree.map(lambda leaf: leaf, variables.params)
    params["layers"][0]["gain"] = jnp.float32([0.5, 2.0, -1.0])
    kernel = network.quantize(params)["layers"][0]["kernel"]
    np.testing.assert_allclose(kernel, standardize(conv.kernel[...], jnp.float32([0.5, 2.0, -1.0])), atol=1e-7)
    batch = learning.Batch(3 * jax.random.normal(jax.random.key(2), (4, 5, 5, 2)), jnp.arange(4) % 2)
    grads = learning.stbp().gradient(network, cross_entropy, variables, batch).grads["layers"][0]
    assert np.all(np.isfinite(grads["gain"]))
    assert np.any(grads["gain"] != 0)
    assert np.any(grads["bias"] != 0)
