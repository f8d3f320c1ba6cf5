import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.nn import Carry, Tick


class Count(nn.Cell):
    """Counts its calls."""

    def start(self, x):
        return jnp.int32(0)

    def advance(self, state, x, tick):
        return state + 1, x + state.astype(x.dtype)


def test_a_carry_hands_each_module_what_it_left_the_step_before():
    first, second, x = Count(), Count(), jnp.zeros(2)
    state = None
    for t in range(3):
        carry = Carry(state, Tick(t))
        y = carry(second, carry(first, x))
        np.testing.assert_array_equal(y, [2 * t, 2 * t])
        state = carry.state
    assert state == (3, 3)


def test_a_state_of_another_network_is_refused():
    cell, x = Count(), jnp.zeros(2)
    carry = Carry((jnp.int32(1),), Tick(1))
    carry(cell, x)
    with pytest.raises(ValueError, match="the state has 1 entries and the module calls more; hand on the state of"):
        carry(cell, x)
    carry = Carry((jnp.int32(1), jnp.int32(2)), Tick(1))
    carry(cell, x)
    with pytest.raises(ValueError, match="the state has 2 entries and the module called 1; hand on the state of"):
        _ = carry.state


def test_a_tick_has_a_key_of_its_sequence_and_one_of_its_step(key):
    assert Tick(3).step_key is None
    keys = [Tick(t, key).step_key for t in (0, 1, jnp.int32(1))]
    data = [tuple(np.asarray(jax.random.key_data(one))) for one in keys]
    assert data[0] != data[1] == data[2]
    assert Tick(0, key).key is Tick(5, key).key


def test_modules_know_their_form():
    module = nn.GlobalAverage()
    assert module.form is None
    assert not module.trains
    module.form = nn.Form(train=True)
    assert module.trains
    module.form = nn.Form(train=False)
    assert not module.trains
