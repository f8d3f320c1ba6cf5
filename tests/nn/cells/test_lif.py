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
        ({"decay": 0}, r"decay=0 must be in \(0, 1\]"),
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


def test_a_found_threshold_is_a_setting_that_the_cell_goes_by():
    options = nn.lif(threshold=0.7, learn_threshold=False, found_threshold=True)
    model = nn.Sequential(options, num_steps=2, input_shape=(3,))
    variables = nn.variables_of(model)
    assert set(variables.params["layers"][0]) == {"raw_decay"}
    assert variables.batch_stats["layers"][0] == {"threshold": np.float32(0.7)}
    found = nn.Variables(variables.params, {"layers": {0: {"threshold": jnp.float32(0.25)}}})
    network = nn.inference_form(model)
    output = network.step(*found, None, jnp.float32([[0.2, 0.25, 0.6]]), Tick(0))
    assert output.logits.tolist() == [[0, 0.25, 0.25]]
    with pytest.raises(ValueError, match="found_threshold=True with learn_threshold=True: a threshold is found or"):
        nn.lif(found_threshold=True)


@pytest.mark.parametrize(
    ("surrogate", "kind", "start"),
    [
        (surrogates.dspike(2.0), nn.Setting, 2.0),
        (surrogates.smooth_step("sigmoid", 2.0), nnx.Param, 0.5),
        (surrogates.smooth_step("ramp", 2.0), nnx.Param, -np.log(2)),
        (surrogates.triangle(), None, None),
    ],
)
def test_the_number_of_an_adjustable_surrogate_is_the_cell_s(surrogate, kind, start):
    cell = nn.lif(surrogate, height=1.0, learn_threshold=False)(4, 2)
    assert hasattr(cell, "surrogate_value") == (kind is not None)
    if kind is None:
        return
    assert type(cell.surrogate_value) is kind
    np.testing.assert_allclose(cell.surrogate_value[...], start)
    slope = jax.grad(lambda current: cell(None, current, Tick(0))[1].sum())
    np.testing.assert_allclose(slope(jnp.float32([0.9])), jax.grad(surrogate)(-0.1), rtol=1e-5)
    cell.surrogate_value[...] = cell.surrogate_value[...] + 0.4
    other = jax.grad(surrogate.at(start + 0.4))(-0.1)
    np.testing.assert_allclose(slope(jnp.float32([0.9])), other, rtol=1e-5)


def noisy_network():
    smooth = surrogates.smooth_step("ramp", width=4.0, noise=0.5)
    neuron = nn.lif(smooth, threshold=0.5, learn_threshold=False, reset="hard")
    return nn.Sequential(neuron, num_steps=3, input_shape=(400,))


def test_noise_is_drawn_anew_at_every_step_of_training_and_its_values_are_reset_by(key):
    """At half the neurons, whose membrane θ s (1 − s) of the hard reset shows the analog s."""
    model = noisy_network()
    network, variables, current = nn.training_form(model), nn.variables_of(model), jnp.full((1, 400), 0.6)
    first = network.step(*variables, None, current, Tick(0, key))
    again = network.step(*variables, None, current, Tick(1, key))
    analog = 0.5 * (0.1 / 4 + 0.5)
    drawn = [np.isclose(output.logits, analog, rtol=1e-5) for output in (first, again)]
    for output, noisy in zip((first, again), drawn, strict=True):
        np.testing.assert_array_equal(output.logits[~noisy], 0.5)
        assert 140 < noisy.sum() < 260
        np.testing.assert_allclose(output.state[0], np.where(noisy, 0.6 * (1 - analog / 0.5), 0), rtol=1e-5)
    assert np.any(drawn[0] != drawn[1])
    same = network.step(*variables, None, current, Tick(0, key))
    np.testing.assert_array_equal(first.logits, same.logits)


def test_without_a_key_there_is_no_noise_to_draw_and_in_inference_none(key):
    model = noisy_network()
    variables, current = nn.variables_of(model), jnp.linspace(-1, 2, 400)[None]
    with pytest.raises(ValueError, match=r"smooth_step.*draws in training and has no key; hand one to the rule"):
        nn.training_form(model).step(*variables, None, current, Tick(0))
    spikes = nn.inference_form(model).step(*variables, None, current, Tick(0, key)).logits
    np.testing.assert_array_equal(spikes, np.where(current >= 0.5, 0.5, 0))


def test_neurons_without_a_place_for_the_number_refuse_it():
    with pytest.raises(ValueError, match=r"surrogate=dspike\(temperature=3.0\) has a number .* use nn.lif\(surrogate"):
        nn.adaptive_lif(surrogates.dspike())


def test_noise_is_the_same_step_by_step_and_layer_by_layer(key):
    model = noisy_network()
    network, variables, current = nn.training_form(model), nn.variables_of(model), jnp.linspace(0, 1, 400)[None]
    state, logits = None, []
    for t in range(3):
        output = network.step(*variables, state, current, Tick(t, key))
        state, logits = output.state, [*logits, output.logits]
    np.testing.assert_array_equal(network.sequence(*variables, current, key).logits, jnp.stack(logits))
