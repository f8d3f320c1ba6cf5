import jax.numpy as jnp
import numpy as np

from hdlif_jax.neurons import NeuronState, parallel


def test_emits_the_excess_of_the_current_and_keeps_nothing():
    current = jnp.float32([0.2, 0.5, 1.5])
    state, spikes = parallel.step(jnp.float32(0.5), NeuronState(), current)
    np.testing.assert_array_equal(spikes, [0, 0, 1.0])
    assert state == NeuronState()


def test_quantises_and_takes_a_perturbation():
    state = NeuronState(perturbation=jnp.float32([0.4]))
    _, spikes = parallel.step(jnp.float32(0.5), state, jnp.float32([1.5]), quantize=jnp.round)
    np.testing.assert_array_equal(spikes, [1.0])
