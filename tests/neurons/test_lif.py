import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.neurons import NeuronParams, NeuronState, lif

PARAMS = NeuronParams(jnp.float32(0.5), jnp.float32(0.8))


def test_step_follows_equation_1():
    current = jnp.float32([0.7, 0.8, 2.0, -1.0])
    state, spikes = lif.step(PARAMS, NeuronState(jnp.zeros(4)), current)
    np.testing.assert_allclose(spikes, [0, 0.8, 0.8, 0])  # fires at the tie m = θ
    np.testing.assert_allclose(state.residual, [0.7, 0, 1.2, -1.0], atol=1e-6)
    state, spikes = lif.step(PARAMS, state, current)
    np.testing.assert_allclose(spikes, [0.8, 0.8, 0.8, 0])  # 0.5 · 0.7 + 0.7 = 1.05 ≥ 0.8


def test_surrogate_gradient_and_its_way_through_the_reset():
    membrane = 0.5
    surrogate = 0.8 * (1 - abs(membrane - 0.8))  # θ · triangle with γ = 1

    def step(current):
        state, spikes = lif.step(PARAMS, NeuronState(), current)
        return spikes, state.residual

    spike_slope, residual_slope = jax.jacobian(step)(jnp.float32(membrane))
    np.testing.assert_allclose(spike_slope, surrogate, rtol=1e-6)
    np.testing.assert_allclose(residual_slope, 1 - surrogate, rtol=1e-6)  # Eq. 3


def test_gradient_of_the_threshold_has_amplitude_and_timing():
    def spikes(threshold):
        return lif.step(NeuronParams(jnp.float32(0.5), threshold), NeuronState(), jnp.float32(1.1))[1]

    np.testing.assert_allclose(jax.grad(spikes)(jnp.float32(0.8)), 1 - 0.8 * (1 - 0.3), rtol=1e-5)
