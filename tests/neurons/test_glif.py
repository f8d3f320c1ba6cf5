import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import NeuronParams, glif, lif, surrogates


def params_of(leak_gate, current_gate, reset_gate):
    numbers = {"decay": 0.25, "threshold": 0.5, "leak": 0.0625, "reset": 0.375, "conductance": 0.5}
    gates = {"leak_gate": leak_gate, "current_gate": current_gate, "reset_gate": reset_gate}
    return glif.GLIFParams(**{name: jnp.float32(value) for name, value in (gates | numbers).items()})


def run(params, current):
    state, states = glif.GLIFState(jnp.zeros(current.shape[1:]), jnp.zeros(current.shape[1:])), []
    for current_t in current:
        state, _ = glif.step(params, state, jnp.float32(current_t))
        states.append(state)
    return [np.stack([getattr(state, name) for state in states]) for name in state._fields]


@pytest.mark.parametrize("gates", list(itertools.product([0, 1], repeat=3)))
def test_at_the_ends_of_its_gates_it_is_one_of_eight_plain_neurons(gates):
    """Kinds of leak, integration and reset, in plain numpy; on multiples of 1/32 nothing rounds for long."""
    leak_gate, current_gate, reset_gate = gates
    current = np.random.default_rng(1).integers(-16, 40, (3, 300)) / 32
    membrane, spikes, expected = np.zeros(300), np.zeros(300), []
    for current_t in current:
        kept = membrane * (1 - spikes) if reset_gate else membrane
        left = 0.25 * kept if leak_gate else kept - 0.0625
        membrane = left + (0.5 if current_gate else 1) * current_t - (0 if reset_gate else 0.375 * spikes)
        spikes = (membrane > 0.5) * 1.0
        expected.append((membrane, spikes))
    membranes, found = run(params_of(*gates), current)
    assert np.any(membranes == 0.5)  # at its threshold it is silent
    np.testing.assert_array_equal(found, [spikes for _, spikes in expected])
    np.testing.assert_allclose(membranes, [membrane for membrane, _ in expected], rtol=1e-6, atol=1e-7)


def test_with_all_gates_open_it_is_a_lif_that_resets_to_zero():
    current = jax.random.normal(jax.random.key(0), (5, 40)) + 0.3
    options = {"spike_function": surrogates.rectangle(), "height": 1.0, "reset": "hard", "tie": ">"}

    def lif_spikes(current):
        state, spikes = jnp.zeros(40), []
        for current_t in current:
            state, spikes_t = lif.step(NeuronParams(jnp.float32(0.25), jnp.float32(0.5)), state, current_t, **options)
            spikes.append(spikes_t)
        return jnp.stack(spikes)

    def glif_spikes(current):
        params = params_of(1, 0, 1)
        state, spikes = glif.GLIFState(jnp.zeros(40), jnp.zeros(40)), []
        for current_t in current:
            state, spikes_t = glif.step(params, state, current_t)
            spikes.append(spikes_t)
        return jnp.stack(spikes)

    np.testing.assert_array_equal(lif_spikes(current), glif_spikes(current))
    weights = jax.random.normal(jax.random.key(1), current.shape)
    found, expected = (
        jax.jit(jax.grad(lambda current, run=run: jnp.sum(weights * run(current))))(current)
        for run in (glif_spikes, lif_spikes)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_states_of_another_shape_are_refused():
    with pytest.raises(AssertionError, match="a state has the shape of its current"):
        glif.step(params_of(1, 1, 1), glif.GLIFState(jnp.zeros(2), jnp.zeros(2)), jnp.zeros(3))
