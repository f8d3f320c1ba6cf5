import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import NeuronParams, hd_lif


def scalar_step(potential, current, decay, threshold):
    """Eq. 4 for one neuron in plain Python."""
    membrane = decay * potential + current
    raw = membrane - threshold if membrane >= threshold else 0.0
    return membrane - raw, raw


def test_step_follows_equation_4():
    generator = np.random.default_rng(0)
    potential, current = generator.normal(size=(2, 50)).astype(np.float32)
    params = NeuronParams(jnp.float32(0.7), jnp.float32(0.4))
    state, spikes = hd_lif.step(params, jnp.asarray(potential), jnp.asarray(current))
    expected = np.array([scalar_step(v, i, 0.7, 0.4) for v, i in zip(potential, current, strict=True)])
    np.testing.assert_allclose(state, expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(spikes, expected[:, 1], atol=1e-6)


def test_the_potential_never_exceeds_the_threshold():
    currents = 10 * jax.random.normal(jax.random.key(0), (20, 1000))
    state = jnp.zeros(1000)
    for t, current in enumerate(currents):
        params = NeuronParams(jnp.float32(0.9), jnp.float32(0.1 + 0.05 * t))
        state, _ = hd_lif.step(params, state, current)
        assert jnp.max(state) <= params.threshold


def test_the_reset_uses_the_unquantised_spikes():
    params = NeuronParams(jnp.float32(0.5), jnp.float32(0.5))
    state, spikes = hd_lif.step(params, jnp.zeros(1), jnp.float32([0.8]), quantize=jnp.round)
    np.testing.assert_array_equal(spikes, [0.0])
    np.testing.assert_array_equal(state, [0.5])


@pytest.mark.parametrize(
    ("membrane", "spike_slope", "potential_slope"), [(0.4999, 0, 1), (0.5, 0, 1), (0.5001, 1, 0), (-3.0, 0, 1)]
)
def test_slopes_on_both_sides_and_at_the_tie(membrane, spike_slope, potential_slope):
    slopes = jax.jacobian(lambda m: jnp.stack(hd_lif.fire(m, jnp.float32(0.5))))(jnp.float32(membrane))
    np.testing.assert_array_equal(slopes, [potential_slope, spike_slope])


def test_what_is_added_to_the_current_is_added_to_the_membrane():
    """So that the gradient with respect to the current is the one with respect to m."""
    params = NeuronParams(jnp.float32(0.5), jnp.float32(0.5))
    potential, added = jnp.float32([0.2]), jnp.float32([0.3])
    _, spikes = hd_lif.step(params, potential, jnp.float32([0.4]) + added)
    np.testing.assert_allclose(spikes, [0.3], rtol=1e-6)

    def of_the_current(current):
        return jnp.stack(hd_lif.step(params, potential, current))

    def of_the_membrane(membrane):
        return jnp.stack(hd_lif.fire(membrane, params.threshold))

    current = jnp.float32([0.7])
    got = jax.jacobian(of_the_current)(current)
    np.testing.assert_array_equal(got, jax.jacobian(of_the_membrane)(0.5 * potential + current))
    np.testing.assert_array_equal(got.ravel(), [0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_theorem_4_2(seed):
    """With equal upstream gradients: (i) the ratio of online to STBP, (ii) the finite set of STBP gradients."""
    num_steps, upstream = 8, 1.7
    key = jax.random.key(seed)
    currents = jax.random.normal(key, (num_steps, 40))
    decay = jax.random.uniform(jax.random.fold_in(key, 1), (num_steps,))
    threshold = jax.random.uniform(jax.random.fold_in(key, 2), (num_steps,))

    @jax.jit
    def run(currents):
        potential, spikes = jnp.zeros(40), []
        for t in range(num_steps):
            potential, spike = hd_lif.step(NeuronParams(decay[t], threshold[t]), potential, currents[t])
            spikes.append(spike)
        return jnp.stack(spikes)

    fires = np.asarray(run(currents) > 0)
    stbp = np.asarray(jax.grad(lambda currents: upstream * run(currents).sum())(currents))  # ∂L/∂I = ∂L/∂m
    for t in range(num_steps):
        for neuron in range(currents.shape[1]):
            later = np.flatnonzero(fires[t:, neuron]) + t
            if not later.size:
                assert stbp[t, neuron] == 0
                continue
            product = np.prod(np.asarray(decay)[t + 1 : later[0] + 1])  # 1 where the neuron fires at t itself
            np.testing.assert_allclose(stbp[t, neuron], product * upstream, rtol=1e-5)  # (ii)
            online = upstream * fires[t, neuron]
            np.testing.assert_allclose(online, fires[t, neuron] / product * stbp[t, neuron], rtol=1e-5)  # (i)
