import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdlif_jax.analysis.separability import closed_form_contributions, contributions_of_firing, temporal_contributions
from hdlif_jax.neurons import NeuronParams, hd_lif, lif, parallel, surrogates
from hdlif_jax.quantize import SpikeQuantizer

autodiff = jax.jit(temporal_contributions, static_argnums=0)
closed_form = jax.jit(closed_form_contributions)


def numpy_contributions(decay, threshold, currents):
    """ε by Definition 4.1, step by step and neuron by neuron, in float64; and how near each neuron comes to a tie."""
    num_steps, num_neurons = currents.shape
    weights, margin = np.zeros((num_steps, num_steps, num_neurons)), np.full(num_neurons, np.inf)
    for neuron in range(num_neurons):
        residual, fires = 0.0, []
        for t in range(num_steps):
            membrane = decay[t, neuron] * residual + currents[t, neuron]
            fires.append(membrane > threshold[t, neuron])
            residual = min(membrane, threshold[t, neuron])
            margin[neuron] = min(margin[neuron], abs(membrane - threshold[t, neuron]))
        for t in range(num_steps):
            for i in range(t, num_steps):
                product = float(fires[i])
                for j in range(t + 1, i + 1):
                    product *= 0.0 if fires[j - 1] else decay[j, neuron]
                weights[i, t, neuron] = product
    return weights, margin


# Multiples of 1/8 and of 1/4 are exact in float32 for a few steps, so that currents hit the threshold exactly.
ties = st.integers(-8, 8).map(lambda eighths: eighths / 8)
quarters = st.sampled_from([0.25, 0.5, 0.75, 1.0])


@st.composite
def sequences(draw, current, decay, threshold, num_steps, num_neurons=8):
    def array(element):
        rows = st.lists(element, min_size=num_neurons, max_size=num_neurons)
        values = draw(st.lists(rows, min_size=num_steps, max_size=num_steps))
        return jnp.asarray(np.array(values, np.float32))

    return NeuronParams(array(decay), array(threshold)), array(current)


def floats(low, high):
    return st.floats(low, high, width=32)


@settings(max_examples=40, deadline=None)
@given(sequences(floats(-3, 3), floats(0.015625, 0.984375), floats(0.0625, 2), num_steps=6))
def test_closed_form_equals_autodiff(case):
    params, currents = case
    expected, actual = autodiff(hd_lif.step, params, currents), closed_form(params, currents)
    by_definition, margin = numpy_contributions(*map(np.float64, params), np.float64(currents))
    # Nearer than rounding to a tie, two compiled programs may take different sides; exact ties are tested below.
    clear = margin > 1e-5
    np.testing.assert_allclose(actual.weights[..., clear], expected.weights[..., clear], atol=1e-6, rtol=0)
    np.testing.assert_allclose(actual.weights[..., clear], by_definition[..., clear], atol=1e-6, rtol=0)
    np.testing.assert_allclose(actual.spikes[..., clear], expected.spikes[..., clear], atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(sequences(ties, quarters, quarters, num_steps=4))
def test_closed_form_equals_autodiff_and_numpy_with_ties(case):
    params, currents = case
    actual = autodiff(hd_lif.step, params, currents)
    np.testing.assert_allclose(closed_form(params, currents).weights, actual.weights, atol=1e-6, rtol=0)
    by_definition, _ = numpy_contributions(*map(np.float64, params), np.float64(currents))
    np.testing.assert_allclose(actual.weights, by_definition, atol=1e-6, rtol=0)


def test_tie_is_silent():
    params = NeuronParams(jnp.full((2, 1), 0.5), jnp.full((2, 1), 0.5))
    currents = jnp.array([[0.5], [0.5]])  # m_1 = θ: silent, so that v_1 = 0.5 is handed on; m_2 = 0.75 fires
    expected = [[[0.0], [0.0]], [[0.5], [1.0]]]
    for contributions in (autodiff(hd_lif.step, params, currents), closed_form(params, currents)):
        np.testing.assert_array_equal(contributions.weights, expected)


def test_lif_by_hand():
    # γ = 1, θ = 1, λ = 0.5. m_1 = 0.6: ds/dm = 0.6, dv/dm = 0.4. m_2 = 0.3 + 1 = 1.3: ds/dm = 0.7.
    params = NeuronParams(jnp.full((2, 1), 0.5), jnp.ones((2, 1)))
    weights = autodiff(lif.step, params, jnp.array([[0.6], [1.0]])).weights
    np.testing.assert_allclose(weights[:, :, 0], [[0.6, 0.0], [0.7 * 0.5 * 0.4, 0.7]], rtol=1e-5)


def test_future_contributes_nothing(key):
    params = NeuronParams(jnp.full((5, 1), 0.7), jnp.ones((5, 1)))
    weights = autodiff(lif.step, params, jax.random.normal(key, (5, 64))).weights
    for i in range(5):
        assert not np.any(weights[i, i + 1 :])


def test_quantisation_does_not_change_contributions(key):
    params = NeuronParams(jnp.full((4, 1), 0.5), jnp.full((4, 1), 0.5))
    currents = jax.random.normal(key, (4, 64))

    def quantized(params_t, state, current):
        return hd_lif.step(params_t, state, current, quantize=SpikeQuantizer())

    actual = autodiff(quantized, params, currents)
    np.testing.assert_array_equal(actual.weights, autodiff(hd_lif.step, params, currents).weights)
    assert set(np.unique(np.asarray(actual.spikes) * 4) % 1) == {0.0}


def test_parallel_has_no_temporal_contribution(key):
    threshold = jnp.full((4, 1), 0.5)
    weights = autodiff(parallel.step, threshold, jax.random.normal(key, (4, 64))).weights
    i, t = np.tril_indices(4, -1)
    assert not np.any(weights[i, t])
    assert set(np.unique(weights[np.arange(4), np.arange(4)])) == {0.0, 1.0}


def test_contributions_of_firing_by_hand():
    fires = jnp.array([[False], [True], [False], [True]])
    decay = jnp.array([0.9, 0.5, 0.25, 0.125])
    expected = [[0, 0, 0, 0], [0.5, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0.125, 1]]
    np.testing.assert_allclose(contributions_of_firing(fires, decay)[:, :, 0], expected)


def test_user_step_with_custom_vjp(key):
    @jax.custom_vjp
    def spike(membrane):
        return (membrane >= 1).astype(membrane.dtype)

    spike.defvjp(lambda membrane: (spike(membrane), membrane), lambda membrane, tangent: (0.25 * tangent,))

    def step(decay, state, current):
        membrane = decay * state + current
        spikes = spike(membrane)
        return membrane - jax.lax.stop_gradient(spikes), spikes

    weights = autodiff(step, jnp.full((3,), 0.5), jax.random.normal(key, (3, 4))).weights
    expected = 0.25 * np.tril(0.5 ** (np.arange(3)[:, None] - np.arange(3)[None]))
    np.testing.assert_allclose(weights, np.broadcast_to(expected[..., None], (3, 3, 4)), rtol=1e-6)


def test_user_step_that_closes_over_traced_values(key):
    currents = jax.random.normal(key, (3, 4))

    @jax.jit
    def weights(threshold):
        def step(decay, state, current):
            return hd_lif.step(NeuronParams(decay, threshold), state, current)

        return temporal_contributions(step, jnp.full((3,), 0.5), currents).weights

    params = NeuronParams(jnp.full((3,), 0.5), jnp.ones(3))
    np.testing.assert_array_equal(weights(jnp.float32(1)), autodiff(hd_lif.step, params, currents).weights)


CURRENTS = jnp.ones((3, 2))
PARAMS = NeuronParams(jnp.full(3, 0.5), jnp.ones(3))


@pytest.mark.parametrize(
    ("params", "currents", "message"),
    [
        (PARAMS, jnp.ones((1, 2)), r"currents have shape \(1, 2\); expected \[T, ...\] with T ≥ 2"),
        (PARAMS, jnp.float32(1), r"currents have shape \(\); expected \[T"),
        (PARAMS, CURRENTS.at[2, 1].set(jnp.nan), r"1 of 6 values are not finite, the first, nan, at index \(2, 1\)"),
        (PARAMS, CURRENTS.at[0, 0].set(jnp.inf), "not finite"),
        (PARAMS, jnp.ones((3, 2), jnp.int32), "currents: int32 values; expected a float type"),
        (PARAMS, jnp.ones((4, 2)), r"decay has shape \(3,\) but the currents have 4 steps"),
        (NeuronParams(jnp.float32(0.5), jnp.ones(3)), CURRENTS, r"decay has shape \(\)"),
        (NeuronParams(jnp.full(3, jnp.nan), jnp.ones(3)), CURRENTS, "parameter decay: 3 of 3 values are not finite"),
    ],
)
def test_bad_values(params, currents, message):
    for function in (lambda *arguments: temporal_contributions(hd_lif.step, *arguments), closed_form_contributions):
        with pytest.raises(ValueError, match=message):
            function(params, currents)


def swapped(state, params, current):
    return hd_lif.step(params, state, current)


def boolean(params, state, current):
    state, spikes = hd_lif.step(params, state, current)
    return state, spikes > 0


def one_potential_for_all(params, state, current):
    state, spikes = hd_lif.step(params, state, current)
    return state[:1], spikes


def coupled_below_the_threshold(params, state, current):
    state, spikes = hd_lif.step(params, state, current)
    return state, spikes + jnp.roll(state, 1)  # a higher membrane leaves θ too


def coupled(params, state, current):
    state, spikes = hd_lif.step(params, state, current)
    return state, spikes + jnp.mean(spikes)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda params, state: (state, state), r"cannot be called \(too many positional arguments\); expected step\("),
        (swapped, "cannot be called .*has no attribute .*decay"),
        (lambda params, state, current: state["v"], "cannot be called .*hand over the first one as state="),
        (lambda params, state, current: current, r"returns an array of shape \(2,\); expected step\("),
        (lambda params, state, current: (state, current, current), "returns 3 values; expected"),
        (lambda params, state, current: ((state, state), current), "returns as state 2 values for an array"),
        (lambda params, state, current: (state, current[:1]), r"as spikes an array of shape \(1,\) for a current of"),
        (boolean, "returns spikes of bool, which have no gradient"),
        (one_potential_for_all, r"as state an array of shape \(1,\) for an array of shape \(2,\)"),
        (coupled, "neurons influence each other"),
        (coupled_below_the_threshold, "neurons influence each other"),
    ],
)
def test_bad_step(step, message):
    with pytest.raises(TypeError, match=message):
        temporal_contributions(step, PARAMS, CURRENTS)


def adaptive(decay, state, current):
    """Two state arrays: the threshold rises with every spike."""
    membrane = decay * state["v"] + current
    spikes = surrogates.triangle(2.0)(membrane - 1 - state["a"])
    return {"v": membrane - spikes, "a": 0.5 * state["a"] + spikes}, spikes


def test_a_neuron_of_two_arrays_by_hand():
    # γ = 2, λ = 0.5, ds/dm = (2 − |m − 1 − a|) / 4. m_1 = 0.6: ds/dm = 0.4, no spike, dv/dm = 1 − 0.4 and da/dm = 0.4.
    # m_2 = 0.3 + 1 = 1.3: ds/dm = 0.425, and −0.425 for a, so that ε[2,1] = 0.425 (0.5 · 0.6 − 0.4).
    start = {"v": jnp.zeros(1), "a": jnp.zeros(1)}
    sample = temporal_contributions(adaptive, jnp.full(2, 0.5), jnp.array([[0.6], [1.0]]), state=start)
    np.testing.assert_array_equal(sample.spikes[:, 0], [0, 1])
    np.testing.assert_allclose(sample.weights[:, :, 0], [[0.4, 0], [0.425 * (0.5 * 0.6 - 0.4), 0.425]], rtol=1e-5)


def test_the_first_state_counts():
    # v_0 = 1, λ = 0.5: a current of 0.1 fires over θ = 0.5, which it does not from rest.
    params = NeuronParams(jnp.full(2, 0.5), jnp.full(2, 0.5))
    currents = jnp.full((2, 1), 0.1)
    assert not np.any(temporal_contributions(hd_lif.step, params, currents).spikes)
    sample = temporal_contributions(hd_lif.step, params, currents, state=jnp.ones(1))
    np.testing.assert_allclose(sample.spikes[:, 0], [0.1, 0], atol=1e-7)


@pytest.mark.parametrize(
    "shared",
    [
        lambda a: jnp.mean(a, keepdims=True),  # one for all neurons
        lambda a: jnp.stack([a, jnp.roll(a, 1)]),  # two for each, one of them of its neighbour
        lambda a: jnp.stack([jnp.roll(a, 1), a], axis=-1),
    ],
)
def test_neurons_must_not_meet_in_the_state(shared):
    def step(decay, state, current):
        potential, spikes = hd_lif.step(NeuronParams(decay, jnp.float32(0.5)), state[0], current)
        return (potential, shared(spikes)), spikes

    currents = jax.random.normal(jax.random.key(0), (3, 4))
    state = (jnp.zeros(4), shared(jnp.zeros(4)))
    with pytest.raises(TypeError, match="neurons influence each other"):
        temporal_contributions(step, jnp.full(3, 0.5), currents, state=state)


def test_states_of_several_entries_and_clocks_are_no_meeting():
    def step(decay, state, current):
        potential, spikes = hd_lif.step(NeuronParams(decay, jnp.float32(0.5)), state["v"][0], current)
        return {"v": jnp.stack([potential, spikes]), "t": state["t"] + 1}, spikes

    currents, decay = jax.random.normal(jax.random.key(0), (3, 4)), jnp.full(3, 0.5)
    state = {"v": jnp.zeros((2, 4)), "t": jnp.zeros((), jnp.int32)}
    actual = temporal_contributions(step, decay, currents, state=state)
    expected = temporal_contributions(hd_lif.step, NeuronParams(decay, jnp.full(3, 0.5)), currents)
    np.testing.assert_array_equal(actual.weights, expected.weights)


def test_currents_must_be_an_array():
    with pytest.raises(TypeError, match="currents are a list; expected an array"):
        temporal_contributions(hd_lif.step, PARAMS, [[1.0], [1.0], [1.0]])


def test_half_precision(key):
    params, currents = jax.tree.map(jnp.float16, (PARAMS, jax.random.normal(key, (3, 4))))
    half = temporal_contributions(hd_lif.step, params, currents)
    assert half.weights.dtype == jnp.float16
    full = temporal_contributions(hd_lif.step, *jax.tree.map(jnp.float32, (params, currents)))
    np.testing.assert_array_equal(half.weights, full.weights)
