import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.quantize import binarize, quantize_binary, quantize_ternary, standardize, ternarize, weight_quantizer

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)


def test_binary_kernels():
    quantized = np.asarray(quantize_binary(jnp.asarray(KERNEL)))
    for channel in range(5):
        scale = np.abs(KERNEL[..., channel]).mean()
        np.testing.assert_allclose(
            quantized[..., channel], np.where(KERNEL[..., channel] >= 0, scale, -scale), rtol=1e-6
        )


def test_the_sign_of_zero_is_plus_one():
    np.testing.assert_array_equal(binarize(jnp.float32([[0.0], [-0.0], [-1.0]])).levels, [[1], [1], [-1]])


def test_ternary_kernels():
    clipped = np.clip(KERNEL, -1, 1)
    threshold = 0.7 * np.abs(clipped).mean()
    kept = np.abs(clipped) > threshold
    scale = np.abs(clipped[kept]).mean()
    expected = np.where(kept, scale * np.sign(clipped), 0)
    np.testing.assert_allclose(quantize_ternary(jnp.asarray(KERNEL)), expected, rtol=1e-6)
    assert set(np.unique(ternarize(jnp.asarray(KERNEL)).levels)) == {-1, 0, 1}


def test_a_kernel_of_zeros_stays_zero():
    np.testing.assert_array_equal(quantize_ternary(jnp.zeros((3, 2))), np.zeros((3, 2)))


def test_straight_through_includes_one_for_binary_and_excludes_it_for_ternary():
    kernel = jnp.float32([[-1.5, -1.0, -0.999, 0.0, 0.999, 1.0, 1.5]]).T
    upstream = jnp.arange(1.0, 8.0)[:, None]
    for quantize, passes in (
        (quantize_binary, [0, 1, 1, 1, 1, 1, 0]),
        (quantize_ternary, [0, 0, 1, 1, 1, 0, 0]),
    ):
        gradient = jax.grad(lambda kernel, quantize=quantize: (upstream * quantize(kernel)).sum())(kernel)
        np.testing.assert_array_equal(gradient[:, 0], np.array(passes) * np.asarray(upstream)[:, 0])


def test_kinds():
    np.testing.assert_array_equal(weight_quantizer("float")(jnp.asarray(KERNEL)), KERNEL)
    with pytest.raises(
        ValueError, match="weights='int8' is unknown; choose one of float, binary, ternary, standardized"
    ):
        weight_quantizer("int8")


def test_standardised_kernels_have_no_mean_and_the_gain_over_the_root_of_the_fan_in():
    gain = jnp.float32([0.5, 1.0, 2.0, -1.0, 0.0])
    found = np.asarray(standardize(jnp.asarray(KERNEL), gain))
    for channel in range(5):
        weights = np.float64(KERNEL[..., channel])
        expected = (weights - weights.mean()) / np.sqrt(weights.var(ddof=1) * weights.size + 1e-4)
        np.testing.assert_allclose(found[..., channel], float(gain[channel]) * expected, atol=1e-6)


def test_standardised_kernels_do_not_see_a_shift_and_a_constant_kernel_is_zero():
    kernel, gain = jnp.asarray(KERNEL), jnp.ones(5)
    np.testing.assert_allclose(standardize(kernel + 3, gain), standardize(kernel, gain), atol=1e-5)
    for constant in (jnp.full((3, 3, 2, 5), 0.5), jnp.ones((1, 1, 1, 5))):
        found, transpose = jax.vjp(standardize, constant, gain)
        np.testing.assert_allclose(found, np.zeros(constant.shape), atol=1e-6)
        assert all(np.all(np.isfinite(leaf)) for leaf in transpose(jnp.ones_like(found)))


def test_a_gain_of_another_size_is_refused():
    with pytest.raises(AssertionError, match=r"the gain of a standardised kernel is \[C_out\]"):
        standardize(jnp.asarray(KERNEL), jnp.ones(4))
