import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.neurons import parallel


def test_emits_the_excess_of_the_current_and_keeps_nothing():
    current = jnp.float32([0.2, 0.5, 1.5])
    state, spikes = parallel.step(jnp.float32(0.5), (), current)
    np.testing.assert_array_equal(spikes, [0, 0, 1.0])
    assert state == ()


def test_quantises_what_it_emits_and_the_current_is_its_membrane():
    _, spikes = parallel.step(jnp.float32(0.5), (), jnp.float32([1.5]) + jnp.float32([0.4]), quantize=jnp.round)
    np.testing.assert_array_equal(spikes, [1.0])
    slopes = jax.grad(lambda current: parallel.step(jnp.float32(0.5), (), current)[1].sum())(jnp.float32([0.4, 1.5]))
    np.testing.assert_array_equal(slopes, [0, 1])
