import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.analysis.separability import spatial_alignment
from hdlif_jax.neurons import NeuronParams, hd_lif, lif
from hdlif_jax.quantize import SpikeQuantizer

HYBRID = NeuronParams(jnp.float32(0.5), jnp.float32(0.5))
BASELINE = NeuronParams(jnp.float32(0.5), jnp.float32(1))


def quantized(params, state, current):
    return hd_lif.step(params, state, current, quantize=SpikeQuantizer(scale=0.25, bits=4))


def test_by_hand():
    membranes = jnp.array([0.5, 0.9, 1.05, 1.6])  # θ = 1, r = 0.125: only 0.9 and 1.05 see the step, 1/0.25 = 4
    result = spatial_alignment(lif.step, BASELINE, membranes, radius=0.125)
    np.testing.assert_allclose(result.response, [0, 4, 4, 0])
    np.testing.assert_allclose(result.derivative, [0.5, 0.9, 0.95, 0.4], rtol=1e-6)
    expected = 4 * (0.9 + 0.95) / np.sqrt(32) / np.linalg.norm([0.5, 0.9, 0.95, 0.4])
    np.testing.assert_allclose(result.cosine, expected, rtol=1e-5)
    error = np.linalg.norm([0.5, 3.1, 3.05, 0.4]) / np.sqrt(32)
    np.testing.assert_allclose(result.relative_error, error, rtol=1e-5)


def test_straight_through_is_the_slope_of_the_staircase():
    inside = jnp.linspace(0.7, 4.1, 100)  # above θ by more than r, below the highest level by more than r
    result = spatial_alignment(quantized, HYBRID, inside, radius=0.125)
    np.testing.assert_allclose(result.response, result.derivative, rtol=1e-5)
    clipped = spatial_alignment(quantized, HYBRID, jnp.linspace(4.6, 8, 10), radius=0.125)
    assert not np.any(clipped.response)  # where Q clips, the straight-through gradient is wrong,
    assert np.all(clipped.derivative == 1)  # which the paper's authors accept
    assert clipped.relative_error == np.inf


def test_silence_is_aligned():
    result = spatial_alignment(hd_lif.step, HYBRID, -jnp.ones(3))
    assert (result.cosine, result.relative_error) == (1, 0)


def test_hd_lif_is_better_aligned_than_lif(key):
    membranes = jax.random.normal(key, (4096,))
    for radius in (0.125, 0.25, 0.5):
        hybrid = spatial_alignment(quantized, HYBRID, membranes, radius=radius)
        baseline = spatial_alignment(lif.step, BASELINE, membranes, radius=radius)
        assert hybrid.cosine > baseline.cosine
        assert hybrid.relative_error < baseline.relative_error


def test_bad_input():
    with pytest.raises(ValueError, match="radius=0 must be positive"):
        spatial_alignment(lif.step, BASELINE, jnp.ones(2), radius=0)
    with pytest.raises(ValueError, match="membranes: 1 of 2 values are not finite"):
        spatial_alignment(lif.step, BASELINE, jnp.array([0, jnp.nan]))
    with pytest.raises(ValueError, match=r"parameter threshold: 1 of 1 values are not finite.* at index \(\)"):
        spatial_alignment(lif.step, NeuronParams(jnp.float32(0.5), jnp.float32(jnp.nan)), jnp.ones(2))
    with pytest.raises(TypeError, match="cannot be called"):
        spatial_alignment(lambda current: current, BASELINE, jnp.ones(2))
