import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import NeuronParams, hd_lif, mem_bn

NEURON = NeuronParams(jnp.float32(0.6), jnp.float32(0.4))
MOMENTS = mem_bn.Moments(jnp.float32([0.1, -0.3, 0.2]), jnp.float32([0.5, 2.0, 1.0]))
MEM_BN = mem_bn.MemBNParams(
    jnp.float32(0.7), jnp.float32(0.3), jnp.float32([1.2, 0.8, -0.5]), jnp.float32([0.1, 0.0, -0.2])
)


def random_state_and_current():
    potential, current = jax.random.normal(jax.random.key(0), (2, 5, 4, 4, 3))
    return potential, current


def test_alpha_one_beta_zero_is_vanilla_exactly():
    vanilla_params = MEM_BN._replace(membrane_weight=jnp.float32(1), normalized_weight=jnp.float32(0))
    state, current = random_state_and_current()
    expected_state, expected = hd_lif.step(NEURON, state, current)
    trained_state, trained, _ = mem_bn.training_step(NEURON, vanilla_params, state, current)
    inferred_state, inferred = mem_bn.inference_step(NEURON, vanilla_params, MOMENTS, state, current)
    for got_state, got in ((trained_state, trained), (inferred_state, inferred)):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got_state, expected_state)


def test_training_step_follows_equation_6():
    state, current = random_state_and_current()
    membrane = np.asarray(0.6 * state + current, np.float64)
    mean, variance = membrane.mean((0, 1, 2)), membrane.var((0, 1, 2))
    normalized = np.asarray(MEM_BN.scale) * (membrane - mean) / np.sqrt(variance + 1e-5) + np.asarray(MEM_BN.shift)
    mixed = 0.7 * membrane + 0.3 * normalized
    new_state, spikes, moments = mem_bn.training_step(NEURON, MEM_BN, state, current)
    np.testing.assert_allclose(spikes, np.maximum(mixed - 0.4, 0), atol=1e-5)
    np.testing.assert_allclose(new_state, np.minimum(mixed, 0.4), atol=1e-5)
    np.testing.assert_allclose(moments.mean, mean, atol=1e-6)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-5)


def test_reparameterised_is_the_inference_form():
    state, current = random_state_and_current()
    folded = mem_bn.reparameterize(NEURON.decay, MEM_BN, MOMENTS)
    channels = [leaf.reshape(1, 1, 1, -1) for leaf in folded]
    affine = channels[1] * current + channels[2]
    expected_state, expected = mem_bn.inference_step(NEURON, MEM_BN, MOMENTS, state, current)
    got_state, got = hd_lif.step(NeuronParams(channels[0], NEURON.threshold), state, affine)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_allclose(got_state, expected_state, atol=2e-6)


@pytest.mark.parametrize("ratio", [0, 1_000, 10_000])
def test_moments_keep_their_digits_however_far_the_mean_is_from_zero(ratio):
    membranes = jax.random.normal(jax.random.key(0), (64, 8, 3)) + jnp.float32(ratio)
    moments, values = mem_bn.batch_moments(membranes), np.asarray(membranes, np.float64)
    np.testing.assert_allclose(moments.variance, values.var((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(moments.mean, values.mean((0, 1)), rtol=1e-6, atol=1e-6)
