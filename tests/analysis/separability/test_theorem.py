import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.analysis.separability import temporal_contributions, theorem_deviation
from hdlif_jax.neurons import NeuronParams, hd_lif, lif, parallel


def random_case(key, num_steps, num_sequences):
    keys = jax.random.split(key, 3)
    shape = (num_steps, num_sequences)
    decay, threshold = (jax.nn.sigmoid(jax.random.normal(keys[index], shape)) for index in (0, 1))
    return NeuronParams(decay, threshold), jax.random.normal(keys[2], shape) + 0.2


contributions = jax.jit(temporal_contributions, static_argnums=0)
deviation_of = jax.jit(theorem_deviation)


@pytest.mark.parametrize("num_steps", [2, 5, 16])
def test_theorem_holds_for_hd_lif(key, num_steps):
    params, currents = random_case(key, num_steps, 10_000)
    deviation = deviation_of(contributions(hd_lif.step, params, currents).weights, params.decay)
    assert deviation.finite_set <= 1e-5
    assert deviation.online_from_stbp <= 1e-5
    assert deviation.stbp_value <= 1e-5


def test_checks_fail_for_lif_with_a_surrogate(key):
    params, currents = random_case(key, 8, 256)
    deviation = deviation_of(contributions(lif.step, params, currents).weights, params.decay)
    assert all(part > 0.1 for part in deviation)
    assert deviation.worst == max(deviation)


def test_each_check_sees_its_own_violation():
    # One neuron, T = 2, λ_2 = 0.5, silent then firing: ε = [[0, 0], [0.5, 1]].
    decay = jnp.array([0.5, 0.5])
    right = jnp.array([[0.0, 0.0], [0.5, 1.0]])
    assert deviation_of(right, decay).worst == 0
    # Also silent afterwards: STBP is 0, and so statement (i) has nothing to say.
    assert deviation_of(jnp.zeros((2, 2)), decay).worst == 0
    # A firing step that hands on its membrane violates all three, (i) by 1 − 1·(1 + 0.25).
    handed_on = deviation_of(jnp.array([[1.0, 0.0], [0.25, 1.0]]), decay)
    np.testing.assert_allclose(handed_on, [0.25, 0.25, 0.25])
    # A silent step with another leak: statement (i) cannot see it, as its online gradient is 0 all the same.
    other_leak = deviation_of(jnp.array([[0.0, 0.0], [0.75, 1.0]]), decay)
    np.testing.assert_allclose(other_leak, [0.25, 0.0, 0.25])


def test_wrong_leak_is_found(key):
    params, currents = random_case(key, 4, 256)
    weights = contributions(hd_lif.step, params, currents).weights
    assert deviation_of(weights, 0.9 * params.decay).worst > 0.01


def test_holds_without_memory_as_zero_leak(key):
    _, currents = random_case(key, 4, 64)
    weights = contributions(parallel.step, jnp.full((4, 1), 0.5), currents).weights
    assert deviation_of(weights, jnp.zeros(4)).worst == 0


@pytest.mark.parametrize(
    ("weights", "decay", "message"),
    [
        (jnp.ones((2, 3, 4)), jnp.ones(2), r"ε has shape \(2, 3, 4\)"),
        (jnp.ones((1, 1)), jnp.ones(1), "T ≥ 2"),
        (jnp.ones((3, 3, 4)), jnp.ones(2), r"decay has shape \(2,\) but ε is of 3 steps"),
        (jnp.ones((3, 3, 4)), jnp.float32(1), r"decay has shape \(\)"),
        (jnp.ones((3, 3, 4)), jnp.ones((3, 5)), r"\(3, 5\) but .* neurons \(4,\); expected \(3,\) or \(3, 4\)"),
        (jnp.ones((3, 3, 4)), jnp.ones((3, 4, 1)), r"decay has shape \(3, 4, 1\)"),
        (jnp.full((3, 3, 4), jnp.nan), jnp.ones(3), "ε: 36 of 36 values are not finite"),
    ],
)
def test_bad_input(weights, decay, message):
    with pytest.raises(ValueError, match=message):
        theorem_deviation(weights, decay)
