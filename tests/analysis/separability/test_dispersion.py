import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdlif_jax.analysis.separability import distinct_values, online_error, separability_index, temporal_contributions
from hdlif_jax.neurons import NeuronParams, hd_lif, lif

index = jax.jit(separability_index)
contributions = jax.jit(temporal_contributions, static_argnums=0)


def as_weights(values):
    """ε of T = 2 neurons with the given diagonal and lower entries, three a neuron."""
    first, later, second = np.array(values, np.float32).reshape(-1, 3).T
    return jnp.stack([jnp.stack([first, jnp.zeros_like(first)]), jnp.stack([later, second])])


@pytest.mark.parametrize("constant", [1.0, -0.5, 1e-30, 3e30])
def test_index_of_a_constant_is_zero(constant):
    assert index(as_weights([constant] * 6)) < 1e-6
    assert index(as_weights([constant, 0, constant] * 2)) < 1e-6


def test_index_without_active_entry_is_zero():
    assert index(jnp.zeros((3, 3, 4))) == 0


def test_index_by_hand():
    # {1, 2}: 1 − 3²/(2·5) = 0.1. {1, −1}: 1. Zeros stay out.
    np.testing.assert_allclose(index(as_weights([1, 0, 2])), 0.1, rtol=1e-5)
    np.testing.assert_allclose(index(as_weights([1, 0, -1])), 1.0, rtol=1e-6)


values = st.floats(-1000, 1000, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=12, max_size=12), st.floats(0.0078125, 128, width=32))
def test_index_range_scale_and_meaning(entries, scale):
    weights = as_weights(entries)
    result = float(index(weights))
    assert 0 <= result <= 1
    np.testing.assert_allclose(index(weights * scale), result, atol=1e-5)
    active = np.array([entry for entry in entries if entry], np.float64)
    if len(active):
        expected = 1 - active.sum() ** 2 / (len(active) * (active**2).sum())
        np.testing.assert_allclose(result, expected, atol=1e-5)
    if len(active) and active.min() > 0:
        ratio = active.max() / active.min()
        assert result <= ((ratio - 1) / (ratio + 1)) ** 2 + 1e-5  # Kantorovich


def neurons(key, num_steps=4, num_neurons=2048):
    currents = jax.random.normal(key, (num_steps, num_neurons))
    constant = jnp.full((num_steps,), 0.5)
    return (
        contributions(hd_lif.step, NeuronParams(constant, constant), currents),
        contributions(lif.step, NeuronParams(constant, 2 * constant), currents),
    )


def test_hd_lif_is_more_separable_than_lif(key):
    hybrid, baseline = neurons(key)
    assert index(hybrid.weights) < 0.2 < 0.4 < index(baseline.weights)


def test_distinct_values(key):
    hybrid, baseline = neurons(key)
    np.testing.assert_allclose(distinct_values(hybrid.weights), [0, 0.125, 0.25, 0.5, 1])
    assert len(distinct_values(baseline.weights)) > 1000


def test_distinct_values_group_at_most_the_tolerance():
    weights = as_weights([0.0, 0.6e-6, 1.2e-6])
    assert len(distinct_values(weights)) == 2  # a chain of near values is not one value
    assert len(distinct_values(weights, tolerance=2e-6)) == 1
    assert len(distinct_values(weights, tolerance=0)) == 3


def test_error_of_hd_lif_is_all_at_silent_steps(key):
    hybrid, baseline = neurons(key)
    error = online_error(*hybrid[::-1])
    assert error.firing == 0
    assert error.silent > 0.1
    np.testing.assert_allclose(error.silent_share, 1, rtol=1e-6)
    assert online_error(*baseline[::-1]).firing > 0.01


def test_error_by_hand():
    # Neuron A: silent, firing, ε = [[0, 0], [0.5, 1]]; neuron B fires twice, ε = [[1, 0], [0.25, 1]].
    weights = jnp.array([[[0.0, 1.0], [0.0, 0.0]], [[0.5, 0.25], [1.0, 1.0]]])
    spikes = jnp.array([[0.0, 2.0], [2.0, 2.0]])
    error = online_error(weights, spikes)
    np.testing.assert_allclose(error.silent, 0.5)
    np.testing.assert_allclose(error.firing, np.sqrt(0.25**2 / 3), rtol=1e-6)
    squared, stbp = 0.5**2 + 0.25**2, 0.5**2 + 1 + 1.25**2 + 1
    np.testing.assert_allclose(error.relative, np.sqrt(squared / stbp), rtol=1e-6)
    np.testing.assert_allclose(error.silent_share, 0.8, rtol=1e-6)


def test_error_of_silence_is_zero():
    assert not any(online_error(jnp.zeros((2, 2, 3)), jnp.zeros((2, 3))))


def test_not_a_number_is_no_constant():
    for function in (separability_index, distinct_values):
        with pytest.raises(ValueError, match="ε: 1 of 12 values are not finite"):
            function(as_weights([1, 1, 1, 1, jnp.nan, 1, 1, 1, 1]))
    assert jnp.isnan(index(as_weights([1, jnp.nan, 1])))  # inside jit nobody can raise


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"spikes have shape \(2, 4\) but ε has \(2, 2, 3\); expected \(2, 3\)"):
        online_error(jnp.zeros((2, 2, 3)), jnp.zeros((2, 4)))
    with pytest.raises(ValueError, match="ε has shape"):
        separability_index(jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="ε has shape"):
        distinct_values(jnp.zeros(3))
