import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.neurons import NeuronParams, lif, surrogates
from hdlif_jax.nn import Tick


def params_of(cell):
    return set(nnx.to_pure_dict(nnx.state(cell, nnx.Param)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"raw_decay", "threshold"}),
        ({"learn_decay": False}, {"threshold"}),
        ({"learn_threshold": False}, {"raw_decay"}),
        ({"learn_decay": False, "learn_threshold": False}, set()),
    ],
)
def test_what_is_not_learned_is_no_parameter(options, expected):
    """And has the value that it was given, as what is learned starts at it."""
    cell = nn.lif(decay=0.9, threshold=0.7, **options)(4, 2)
    assert params_of(cell) == expected
    np.testing.assert_allclose(cell.params(), (0.9, 0.7), rtol=1e-6)


def test_the_cell_is_the_neuron_with_its_options():
    options = {"height": 0.5, "reset": "hard", "tie": ">", "detach": True}
    spike = surrogates.rectangle(0.8)
    cell = nn.lif(surrogate=spike, decay=0.75, threshold=0.6, learn_decay=False, learn_threshold=False, **options)(4, 2)
    state, current = jax.random.normal(jax.random.key(0), (2, 50))
    params = NeuronParams(jnp.float32(0.75), jnp.float32(0.6))

    def neuron(state, current):
        return lif.step(params, state, current, spike_function=spike, **options)

    for t in range(2):  # nothing depends on the step
        jax.tree.map(np.testing.assert_array_equal, cell(state, current, Tick(t)), neuron(state, current))
    got, expected = (
        jax.grad(lambda current, run=run: sum(part.sum() for part in run(current)))(current)
        for run in (lambda current: cell(state, current, Tick(0)), lambda current: neuron(state, current))
    )
    np.testing.assert_array_equal(got, expected)


def test_what_is_learned_has_a_gradient():
    model = nn.Sequential(nn.lif(), nn.Linear(5, 2, rngs=nnx.Rngs(0)), num_steps=2, input_shape=(5,))
    network, variables = nn.training_form(model), nn.variables_of(model)

    def total(params):
        state, logits = None, 0
        for t in range(2):
            output = network.step(params, {}, state, jnp.linspace(0, 2, 5)[None], Tick(t))
            state, logits = output.state, logits + output.logits.sum()
        return logits

    grads = jax.grad(total)(variables.params)["layers"][0]
    assert grads.keys() == {"raw_decay", "threshold"}
    assert all(leaf != 0 for leaf in grads.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 1.0}, r"decay=1\.0 must be in \(0, 1\)"),
        ({"decay": 0}, r"decay=0 must be in \(0, 1\)"),
        ({"threshold": 0.0}, r"threshold=0\.0 must be positive"),
        ({"reset": "zero"}, "reset='zero' is unknown; choose one of soft, hard, none"),
        ({"tie": "<"}, "tie='<' is unknown; choose one of >=, >"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nn.lif(**options)


def test_a_surrogate_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match="surrogate='triangle' must be a function"):
        nn.lif(surrogate="triangle")
