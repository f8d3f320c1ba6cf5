import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn, rollout
from tests.conftest import cross_entropy, small_network


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6, 6, 3), r"inputs have shape \(8, 6, 6, 3\); expected \[B, 6, 6, 2\] for static inputs"),
        ((6, 6, 2), r"expected \[B, 6, 6, 2\]"),
        ((5, 8, 6, 6, 2), "inputs have 5 time-steps but the network has 4; build it with num_steps=5"),
    ],
)
def test_inputs_that_do_not_fit(shape, message):
    network = nn.training_form(small_network())
    with pytest.raises(ValueError, match=message):
        rollout.is_static(network, jnp.zeros(shape))


def test_static_and_sequence_inputs_are_told_apart():
    network = nn.training_form(small_network())
    assert rollout.is_static(network, jnp.zeros((8, 6, 6, 2)))
    assert not rollout.is_static(network, jnp.zeros((4, 8, 6, 6, 2)))
    assert rollout.batch_size(network, jnp.zeros((4, 8, 6, 6, 2))) == 8


class Dense(nn.Stateful):
    """A network of two layers on features without space."""

    def __init__(self):
        self.num_steps, self.input_shape, self.num_classes = 4, (8,), 3
        self.first, self.second = nn.Linear(8, 5, rngs=nnx.Rngs(0)), nn.Linear(5, 3, rngs=nnx.Rngs(1))
        self.neuron = nn.LIFCell()

    def encode(self, x):
        return self.first(x)

    def __call__(self, state, current, tick):
        neuron, spikes = self.neuron((state or {}).get("neuron"), current, tick)
        return {"neuron": neuron}, self.second(spikes)


@pytest.mark.parametrize("shape", [(5, 8), (4, 5, 8)])
def test_inputs_of_any_rank_run(shape):
    model = Dense()
    x = jax.random.normal(jax.random.key(0), shape)
    logits = rollout.rollout(nn.inference_form(model), nn.variables_of(model), x)
    assert logits.shape == (4, 5, 3)
    batch = learning.Batch(x, jnp.arange(5) % 3)
    gradient = learning.stbp().gradient(nn.training_form(model), cross_entropy, nn.variables_of(model), batch)
    assert np.any(gradient.grads["first"]["kernel"] != 0)


@pytest.mark.parametrize("shape", [(5, 7), (8,), (3, 5, 8)])
def test_other_shapes_of_features_are_refused(shape):
    with pytest.raises(ValueError, match=r"inputs have (shape|3 time-steps)"):
        rollout.is_static(nn.inference_form(Dense()), jnp.zeros(shape))


@pytest.mark.parametrize("unroll", [True, False, None])
def test_over_steps_runs_the_steps_in_order_and_stacks_what_they_give(unroll):
    total, seen = rollout.over_steps(lambda carry, t: (2 * carry + t, carry), jnp.int32(1), 4, unroll=unroll)
    assert total == ((((1 * 2 + 0) * 2 + 1) * 2 + 2) * 2) + 3
    np.testing.assert_array_equal(seen, [1, 2, 5, 12])


def test_over_steps_without_outputs():
    assert rollout.over_steps(lambda carry, t: (carry + t, None), jnp.int32(0), 3, unroll=True) == (3, None)


def test_a_static_input_is_hoisted_and_a_sequence_is_not(images, events):
    """Kernels are quantised once in any case; the stem of a sequence runs at its step."""
    model = small_network()
    network, variables = nn.training_form(model), nn.variables_of(model)
    static, stats = rollout.hoist(network, *variables, images)
    current, expected_stats = network.encode(*variables, images)
    np.testing.assert_array_equal(static.current, current)
    jax.tree.map(np.testing.assert_array_equal, stats, expected_stats)
    sequence, same_stats = rollout.hoist(network, *variables, events)
    assert sequence.current is None
    assert same_stats is variables.batch_stats
    jax.tree.map(np.testing.assert_array_equal, sequence.params, network.quantize(variables.params))
    step = rollout.forward_step(network, sequence, same_stats, None, events, 2)
    frame, stats = network.encode(sequence.params, variables.batch_stats, events[2])
    by_hand = network.step(sequence.params, stats, None, frame, nn.Tick(2))
    np.testing.assert_array_equal(step.logits, by_hand.logits)
    jax.tree.map(np.testing.assert_array_equal, step.batch_stats, by_hand.batch_stats)
