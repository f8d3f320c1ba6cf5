import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.nn import Tick


@pytest.mark.parametrize("ceiling", [None, 2.0])
def test_is_what_its_name_says(ceiling):
    cell = nn.relu(ceiling)(3, 2)
    current = jnp.float32([-1, 0, 0.5, 2, 2.5])
    state, y = cell(None, current, Tick(0))
    assert state == ()
    np.testing.assert_array_equal(y, np.clip(current, 0, ceiling))
    slopes = jax.vmap(jax.grad(lambda x: cell((), x, Tick(0))[1]))(current)
    np.testing.assert_array_equal(slopes, [0, 0, 1, 1, 1] if ceiling is None else [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(cell.membrane((), current, Tick(0)), current)


def test_what_it_emits_is_no_level():
    emits = nn.relu()(1, 1).emits
    assert emits.bits is None
    assert emits.unit is None
