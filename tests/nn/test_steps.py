import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from tests.conftest import perturbed, small_network


def rollout_of(model, inputs):
    return rollout.rollout(nn.inference_form(model, integer=False), nn.variables_of(model), inputs)


@pytest.mark.parametrize("neuron", ["lif", "hd-lif", "mem-bn", "parallel"])
def test_fewer_steps_are_the_first_ones(neuron, images):
    model = small_network(neuron=neuron, widths=(4,))
    variables = nn.variables_of(model)
    model = nn.with_variables(model, variables._replace(params=perturbed(variables.params)))
    shorter = nn.with_num_steps(model, 2)
    assert (shorter.num_steps, model.num_steps) == (2, 4)
    np.testing.assert_allclose(rollout_of(shorter, images), rollout_of(model, images)[:2], rtol=1e-6, atol=1e-6)
    assert nn.with_num_steps(model, 4).num_steps == 4


def test_more_steps_where_everything_is_shared_over_time(images):
    model = small_network(neuron="lif")
    longer = nn.with_num_steps(model, 6)
    logits = rollout_of(longer, images)
    assert logits.shape == (6, 8, 3)
    np.testing.assert_allclose(logits[:4], rollout_of(model, images), rtol=1e-6, atol=1e-6)
    events = jax.random.normal(jax.random.key(0), (6, 2, 6, 6, 2))
    assert rollout_of(longer, events).shape == (6, 2, 3)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (
            "hd-lif",
            r"blocks\.0\.neuron1\.raw_decay has an entry for each of 4 time-steps and none for more; run at most 4",
        ),
        ("mem-bn", r"blocks\.0\.neuron1\.\w+ has an entry for each of 4 time-steps"),
    ],
)
def test_more_steps_than_there_are_parameters_for(neuron, message):
    with pytest.raises(ValueError, match=message):
        nn.with_num_steps(small_network(neuron=neuron), 5)
    with pytest.raises(ValueError, match="num_steps=0 must be at least 1"):
        nn.with_num_steps(small_network(), 0)


def test_a_network_within_a_network_follows():
    class Outer(nn.Stateful):
        num_steps, input_shape, num_classes = 4, (6,), 3

        def __init__(self):
            self.inner = nn.mlp((6,), 3, widths=(4,), rngs=nnx.Rngs(0))

        def encode(self, x):
            return self.inner.encode(x)

        def __call__(self, state, current, tick):
            return self.inner(state, current, tick)

    shorter = nn.with_num_steps(Outer(), 2)
    assert (shorter.num_steps, shorter.inner.num_steps, Outer.num_steps) == (2, 2, 4)


def test_numbers_of_numpy_become_python_s():
    """Of which configurations and manifests are written."""
    assert type(nn.with_num_steps(small_network(widths=(4,)), np.int64(2)).num_steps) is int
