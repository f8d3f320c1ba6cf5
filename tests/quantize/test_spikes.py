import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.quantize import SpikeQuantizer, soft_round


def test_rounds_to_the_grid_and_clips_at_both_ends():
    raw = jnp.float32([-1, 0, 0.124, 0.126, 0.25, 0.375, 0.625, 3.7, 3.9, 100])
    np.testing.assert_array_equal(SpikeQuantizer()(raw), [0, 0, 0, 0.25, 0.25, 0.5, 0.5, 3.75, 3.75, 3.75])


@pytest.mark.parametrize(("scale", "bits"), [(0.25, 4), (0.1, 2), (1 / 3, 3), (1.0, 1)])
def test_outputs_lie_on_the_grid_bit_for_bit(scale, bits):
    raw = 5 * jax.random.normal(jax.random.key(0), (2000,))
    grid = jnp.float32(scale) * jnp.arange(2**bits, dtype=jnp.float32)
    outputs = jax.jit(SpikeQuantizer(scale, bits))(raw)
    assert np.isin(outputs, grid).all()
    assert len(np.unique(outputs)) == 2**bits


def test_no_quantisation():
    raw = jnp.float32([0.1, 77.7])
    np.testing.assert_array_equal(SpikeQuantizer(softness=None)(raw), raw)


def test_softness_goes_from_rounding_to_the_identity():
    raw = jnp.linspace(0, 3.5, 200)
    np.testing.assert_allclose(SpikeQuantizer(softness=1e-3)(raw), SpikeQuantizer()(raw), atol=0.13)
    np.testing.assert_allclose(SpikeQuantizer(softness=1e3)(raw), raw, atol=1e-3)
    error = [np.abs(SpikeQuantizer(softness=softness)(raw) - raw).max() for softness in (0.0, 0.1, 0.3, 1.0, 10.0)]
    assert error == sorted(error, reverse=True)


def test_soft_rounding_keeps_integers_and_half_integers_and_is_increasing():
    x = jnp.arange(-4, 5) / 2
    np.testing.assert_allclose(soft_round(x, 0.2), x, atol=1e-6)
    assert np.all(np.diff(soft_round(jnp.linspace(-2, 2, 999), 0.2)) > 0)


def test_softness_raises_the_clip():
    np.testing.assert_allclose(SpikeQuantizer(scale=1, bits=2, softness=0.5)(jnp.float32([9.0])), [3.5], rtol=1e-6)


@pytest.mark.parametrize("softness", [0.0, 0.3, None])
def test_the_gradient_is_one_everywhere(softness):
    raw = jnp.float32([-2, 0, 0.125, 0.3, 3.75, 50])
    quantize = SpikeQuantizer(softness=softness)
    np.testing.assert_array_equal(jax.grad(lambda x: quantize(x).sum())(raw), np.ones(6))
    np.testing.assert_array_equal(jax.jvp(quantize, (raw,), (raw,))[1], raw)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale=0 must be positive"),
        ({"bits": 0}, "bits=0 must be in 1…24"),
        ({"softness": -1}, "softness=-1 must not be negative"),
        ({"scale": float("nan")}, "scale=nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpikeQuantizer(**arguments)
