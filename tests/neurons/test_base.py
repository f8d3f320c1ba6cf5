import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import charge


def test_the_charge_is_the_decayed_potential_and_the_current():
    membrane = charge(jnp.float32(0.5), jnp.float32([1.0, -2.0]), jnp.float32([0.25, 0.5]))
    np.testing.assert_array_equal(membrane, [0.75, -0.5])


@pytest.mark.parametrize("potential", [jnp.zeros(3), jnp.zeros(2, jnp.bfloat16)])
def test_a_potential_of_another_shape_or_type_is_refused(potential):
    with pytest.raises(AssertionError):
        charge(jnp.float32(0.5), potential, jnp.zeros(2))
