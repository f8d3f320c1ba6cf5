import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, nn, rollout
from hdlif_jax.rollout import time
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
        time.is_static(network, jnp.zeros(shape))


def test_static_and_sequence_inputs_are_told_apart():
    network = nn.training_form(small_network())
    assert time.is_static(network, jnp.zeros((8, 6, 6, 2)))
    assert not time.is_static(network, jnp.zeros((4, 8, 6, 6, 2)))
    assert time.batch_size(network, jnp.zeros((4, 8, 6, 6, 2))) == 8


class Dense(nnx.Module):
    """A network of two layers on features without space."""

    def __init__(self):
        self.num_steps, self.input_shape, self.num_classes = 4, (8,), 3
        self.first, self.second = nn.Linear(8, 5, rngs=nnx.Rngs(0)), nn.Linear(5, 3, rngs=nnx.Rngs(1))
        self.neuron = nn.LIFCell()

    def encode(self, x):
        return self.first(x)

    def __call__(self, state, current, t):
        neuron, spikes = self.neuron((state or {}).get("neuron"), current, t)
        return {"neuron": neuron}, self.second(spikes)


@pytest.mark.parametrize("shape", [(5, 8), (4, 5, 8)])
def test_inputs_of_any_rank_run(shape):
    model = Dense()
    x = jax.random.normal(jax.random.key(0), shape)
    logits = rollout.rollout(nn.inference_form(model), nn.variables_of(model), x)
    assert logits.shape == (4, 5, 3)
    gradient = rollout.stbp(nn.training_form(model), cross_entropy, nn.variables_of(model), x, jnp.arange(5) % 3)
    assert np.any(gradient.grads["first"]["kernel"] != 0)
    costs = analysis.measure(model, [x])
    assert costs.num_images == 5
    assert [row.macs for row in costs.synapses] == [40 * (4 if len(shape) == 3 else 1), 15 * 4]


@pytest.mark.parametrize("shape", [(5, 7), (8,), (3, 5, 8)])
def test_other_shapes_of_features_are_refused(shape):
    with pytest.raises(ValueError, match=r"inputs have (shape|3 time-steps)"):
        time.is_static(nn.inference_form(Dense()), jnp.zeros(shape))


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
