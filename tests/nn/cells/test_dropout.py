import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn, rollout
from hdlif_jax.nn import Form, Tick
from hdlif_jax.nn.forms import in_form
from tests.conftest import cross_entropy
from tests.nn.own import features, step_by_step

ONES = jnp.ones((50, 40))


def training(dropout):
    return in_form(dropout, Form(train=True))


def test_a_share_is_dropped_and_the_rest_scaled_up(key):
    _, kept = training(nn.Dropout(0.25))(None, ONES, Tick(0, key))
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}
    np.testing.assert_allclose(np.mean(kept == 0), 0.25, atol=0.03)
    np.testing.assert_allclose(np.mean(kept), 1, atol=0.04)


def test_per_sequence_the_same_inputs_are_dropped_at_all_steps(key):
    dropout = training(nn.Dropout(0.5))
    first = dropout(None, ONES, Tick(0, key))[1]
    for t in range(1, 4):
        np.testing.assert_array_equal(dropout((), ONES, Tick(jnp.int32(t), key))[1], first)


def test_per_step_other_inputs_are_dropped_at_each(key):
    dropout = training(nn.Dropout(0.5, per="step"))
    steps = [np.asarray(dropout((), ONES, Tick(t, key))[1] == 0) for t in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(np.mean(steps[one] & steps[other]), 0.25, atol=0.04)  # as two independent draws
    np.testing.assert_array_equal(dropout((), ONES, Tick(jnp.int32(2), key))[1] == 0, steps[2])


@pytest.mark.parametrize("per", ["sequence", "step"])
def test_inference_is_the_identity(per, key):
    for dropout in (nn.Dropout(0.5, per), in_form(nn.Dropout(0.5, per), Form(train=False))):
        assert dropout(None, ONES, Tick(0, key))[1] is ONES
        assert dropout(None, ONES, Tick(0))[1] is ONES
    assert training(nn.Dropout(0.0, per))(None, ONES, Tick(0))[1] is ONES


def test_its_gradient_is_its_mask(key):
    dropout = training(nn.Dropout(0.5))
    gradient = jax.grad(lambda x: dropout(None, x, Tick(0, key))[1].sum())(ONES)
    np.testing.assert_array_equal(gradient, dropout(None, ONES, Tick(0, key))[1])


def network_with(per):
    model = features(nn.lif(), nn.Dropout(0.5, per), nn.Linear(5, 6, rngs=nnx.Rngs(0)))
    return nn.training_form(model), nn.variables_of(model)


BRIGHT = 3 * jnp.ones((6, 5))  # every neuron fires at every step


def test_two_cells_draw_from_keys_of_their_own(key):
    """One key for the network, and the second Dropout drops half of what the first has left."""
    passed = []

    class Last(nn.Module):
        def __call__(self, x):
            passed.append(x)
            return x

    for number in (1, 2):
        layers = [nn.Dropout(0.5) for _ in range(number)]
        model = features(nn.lif(), *layers, Last(), nn.Linear(5, 6, rngs=nnx.Rngs(0)), num_steps=2)
        nn.training_form(model).step(*nn.variables_of(model), None, jnp.full((400, 5), 3.0), Tick(0, key))
        np.testing.assert_allclose(np.mean(passed[-1] != 0), 0.5**number, atol=0.04)


@pytest.mark.parametrize("per", ["sequence", "step"])
def test_the_same_key_gives_the_same_numbers_in_both_orders(per, key):
    network, variables = network_with(per)
    outputs = [network.sequence(*variables, BRIGHT, key), step_by_step(network, variables, BRIGHT, key)]
    outputs.append(network.sequence(*variables, BRIGHT, key))
    for other in outputs[1:]:
        np.testing.assert_allclose(other.logits, outputs[0].logits, atol=1e-6)
    another = network.sequence(*variables, BRIGHT, jax.random.key(1))
    assert not np.allclose(another.logits, outputs[0].logits)


def test_a_network_without_a_key_is_refused_in_training_alone():
    network, variables = network_with("sequence")
    message = "Dropout draws in training and has no key; hand one to the rule, or to the network's step"
    for use in (
        lambda: network.step(*variables, None, BRIGHT, Tick(0)),
        lambda: network.sequence(*variables, BRIGHT),
        lambda: learning.accumulate().gradient(
            network, cross_entropy, variables, learning.Batch(BRIGHT, jnp.zeros(6, jnp.int32))
        ),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            use()
        assert "\n" not in str(caught.value)
    assert nn.init_state(network, variables, 6)[1] == ()  # the state draws nothing
    model = features(nn.lif(), nn.Dropout(), nn.Linear(5, 6, rngs=nnx.Rngs(0)))
    assert rollout.rollout(nn.inference_form(model), nn.variables_of(model), BRIGHT).shape == (4, 6, 3)


def test_a_random_step_with_dropout_is_that_of_its_key(key):
    network, variables = network_with("sequence")
    batch = learning.Batch(BRIGHT, jnp.arange(6) % 3)

    @jax.jit
    def gradient(key):
        return learning.random_step().gradient(network, cross_entropy, variables, batch, key)

    first, again, other = gradient(key), gradient(key), gradient(jax.random.key(5))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.allclose(first.grads["layers"][2]["kernel"], other.grads["layers"][2]["kernel"])


def test_what_is_drawn_is_not_what_chooses_the_step():
    """The key of the cells is not the key of the rule: with it alone, the same inputs drop at whichever step."""
    network, variables = network_with("sequence")
    batch, key = learning.Batch(BRIGHT, jnp.arange(6) % 3), jax.random.key(2)
    at_steps = [
        learning.gradient_at_steps(network, cross_entropy, variables, batch, jnp.array([t]), key=key).logits
        for t in range(2)
    ]
    drawn = learning.random_step().gradient(network, cross_entropy, variables, batch, key)
    (t,) = np.flatnonzero(drawn.learned)
    expected = learning.gradient_at_steps(network, cross_entropy, variables, batch, jnp.array([t]), key=key)
    np.testing.assert_array_equal(drawn.logits, expected.logits)
    np.testing.assert_allclose(at_steps[0], at_steps[1], atol=1e-6)  # bright inputs fire at every step


def test_what_it_leaves_is_no_record_of_a_neuron(key):
    model = features(nn.lif(), nn.Dropout(0.5), nn.Linear(5, 6, rngs=nnx.Rngs(0)))
    variables = nn.variables_of(model)
    assert list(rollout.firing_rates(nn.inference_form(model, record=True), variables, BRIGHT)) == ["layers.0"]
    training_network = nn.training_form(model, record=True)
    assert list(training_network.step(*variables, None, BRIGHT, Tick(0, key)).records) == ["layers.0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.0}, r"rate=1\.0 must be in \[0, 1\)"),
        ({"rate": -0.1}, r"rate=-0\.1 must be"),
        ({"per": "batch"}, "per='batch' is unknown; choose one of sequence"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.Dropout(**arguments)
