import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.rollout import time
from tests.conftest import small_network


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6, 6, 3), r"inputs have shape \(8, 6, 6, 3\); expected \[B, 6, 6, 2\] for images"),
        ((6, 6, 2), r"expected \[B, 6, 6, 2\]"),
        ((5, 8, 6, 6, 2), "inputs have 5 time-steps but the network has 4; build it with num_steps=5"),
    ],
)
def test_inputs_that_do_not_fit(shape, message):
    network = nn.training_form(small_network())
    with pytest.raises(ValueError, match=message):
        time.is_static(network, jnp.zeros(shape))


def test_static_and_sequence_inputs_are_told_apart():
    network = nn.training_form(small_network())
    assert time.is_static(network, jnp.zeros((8, 6, 6, 2)))
    assert not time.is_static(network, jnp.zeros((4, 8, 6, 6, 2)))
    assert time.batch_size(network, jnp.zeros((4, 8, 6, 6, 2))) == 8


@pytest.mark.parametrize("unroll", [True, False, None])
def test_fold_steps_runs_the_steps_in_order(unroll):
    total = time.fold_steps(lambda t, carry: 2 * carry + t, jnp.int32(1), 4, unroll=unroll)
    assert total == ((((1 * 2 + 0) * 2 + 1) * 2 + 2) * 2) + 3


@pytest.mark.parametrize("shape", [(8,), (8, 3)])
def test_labels_that_fit(shape):
    time.check_labels((8, 3), np.zeros(shape))


def test_labels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"labels have shape \(7,\); expected \(8,\) integers or \(8, 3\)"):
        time.check_labels((8, 3), np.zeros(7))
