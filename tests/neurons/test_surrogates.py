import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import surrogate


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_triangle_is_a_step_forward_and_a_triangle_of_unit_area_backward(width):
    spike = surrogate.triangle(width)
    excess = jnp.linspace(-3, 3, 6001)
    np.testing.assert_array_equal(spike(excess), excess >= 0)
    slope = jax.vmap(jax.grad(spike))(excess)
    np.testing.assert_allclose(slope, np.maximum(width - np.abs(excess), 0) / width**2, atol=1e-6)
    np.testing.assert_allclose(np.trapezoid(slope, excess), 1, rtol=1e-4)


def test_forward_and_reverse_mode_agree():
    spike = surrogate.make_spike_function(lambda excess: jnp.exp(-jnp.square(excess)))
    x = jnp.float32(0.3)
    np.testing.assert_allclose(jax.jacfwd(spike)(x), jax.jacrev(spike)(x))


def test_a_width_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="width=0 must be positive"):
        surrogate.triangle(0)
