import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.quantize import binarize, quantize_binary, quantize_ternary, ternarize, weight_quantizer

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
    with pytest.raises(ValueError, match="weights='int8' is unknown; choose one of float, binary, ternary"):
        weight_quantizer("int8")
