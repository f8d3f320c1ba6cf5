"""Looking inside a network, of the library's cells and of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from tests.conftest import small_network
from tests.nn.own import RefractoryCell, features, step_by_step, synaptic

X = jax.random.normal(jax.random.key(0), (3, 5))
SEQUENCE = jax.random.normal(jax.random.key(1), (4, 3, 5))
EVERYTHING = ("current", "membrane", "state", "spikes", "rate")


def model_of(neuron):
    rngs = nnx.Rngs(0)
    return features(nn.Linear(5, 6, rngs=rngs), nn.BatchNorm(6), neuron, num_steps=4)


@pytest.mark.parametrize("inputs", [X, SEQUENCE], ids=["static", "sequence"])
@pytest.mark.parametrize("form", [nn.inference_form, nn.training_form])
def test_it_is_what_a_run_by_hand_sees(form, inputs):
    model = model_of(nn.lif(threshold=0.7))
    network, variables = form(model, record=True), nn.variables_of(model)
    seen = rollout.record(network, variables, inputs, what=EVERYTHING)["layers.2"]
    expected = step_by_step(network, variables, inputs)
    np.testing.assert_allclose(seen["spikes"], expected.records["layers.2"], atol=1e-6)
    assert np.any(expected.records["layers.2"] != 0)
    np.testing.assert_allclose(seen["rate"], np.mean(seen["spikes"] != 0, (0, 1)), rtol=1e-6)
    assert seen["rate"].shape == (6,)
    potential = jnp.concatenate([jnp.zeros((1, 3, 6)), seen["state"][:-1]])
    np.testing.assert_allclose(seen["membrane"], 0.5 * potential + seen["current"], rtol=1e-6)
    np.testing.assert_allclose(seen["state"], seen["membrane"] - seen["spikes"], rtol=1e-6, atol=1e-6)
    outputs = rollout.record(network, variables, inputs, layers=["layers.0", "layers.1", "layers.3"])
    assert list(outputs) == ["layers.0", "layers.1", "layers.3"]
    np.testing.assert_allclose(outputs["layers.1"]["output"], seen["current"], rtol=1e-6)
    np.testing.assert_allclose(outputs["layers.3"]["output"], expected.logits, atol=1e-6)


@pytest.mark.parametrize("neuron", [nn.lif(), nn.hd_lif(), nn.parallel(), nn.adaptive_lif(), nn.mem_bn()], ids=str)
@pytest.mark.parametrize("form", [nn.inference_form, nn.training_form])
def test_the_membrane_of_every_cell_is_what_its_spikes_follow_from(neuron, form):
    """A neuron that emits is above its threshold, and the sum of all membranes grows with the current by one."""
    model = model_of(neuron)
    network, variables = form(model), nn.variables_of(model)
    seen = rollout.record(network, variables, 3 * SEQUENCE, what=EVERYTHING)["layers.2"]
    silent, firing = seen["spikes"] == 0, seen["spikes"] > 0
    assert np.any(silent)
    assert np.any(firing)
    if not isinstance(neuron, nn.adaptive_lif):  # whose threshold rises
        assert np.min(seen["membrane"][firing]) > np.max(seen["membrane"][silent]) - 0.13  # half a level of 0.25
    assert seen["membrane"].shape == seen["current"].shape == (4, 3, 6)


@pytest.mark.parametrize("factory", [synaptic(), lambda *sizes: RefractoryCell()], ids=["dict", "tuple"])
def test_cells_of_others_show_their_state_whatever_it_is(factory):
    model = model_of(factory)
    network, variables = nn.inference_form(model), nn.variables_of(model)
    seen = rollout.record(network, variables, X, what=EVERYTHING)["layers.2"]
    assert sorted(seen) == ["current", "rate", "spikes", "state"]  # they do not say what their membrane is
    assert {leaf.shape for leaf in jax.tree.leaves(seen["state"])} == {(4, 3, 6)}
    at_the_end = network.start(*variables, X)
    for t in range(4):
        current, _ = network.encode(*variables, X)
        at_the_end = network.step(*variables, at_the_end, current, nn.Tick(t)).state
    last = jax.tree.map(lambda leaf: leaf[-1], seen["state"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), last, at_the_end[0])


def test_a_membrane_of_dynamics_that_were_replaced_is_not_shown():
    class Faster(nn.HDLIFCell):
        def advance(self, state, x, tick):
            return super().advance(0.1 * state, x, tick)

    class Said(Faster):
        def membrane(self, state, x, tick):
            return super().membrane(0.1 * state, x, tick)

    for kind, shown in ((Faster, False), (Said, True)):
        model = model_of(lambda num_steps, num_channels, kind=kind: kind(num_steps, nn.hd_lif()(1, 1).quantize))
        seen = rollout.record(nn.inference_form(model), nn.variables_of(model), X)
        assert ("membrane" in seen["layers.2"]) == shown


def test_in_a_resnet_under_jit(images):
    model = small_network()
    network, variables = nn.inference_form(model), nn.variables_of(model)
    layers = "blocks.1.neuron2", "blocks.0"
    seen = jax.jit(lambda v, x: rollout.record(network, v, x, layers=layers))(variables, images)
    assert seen.keys() == set(layers)
    assert seen["blocks.1.neuron2"]["membrane"].shape == (4, 8, 3, 3, 6)
    assert seen["blocks.0"]["output"].shape == (4, 8, 6, 6, 4)
    assert [*rollout.record(network, variables, images[:1], what="rate")] == [
        f"blocks.{block}.neuron{neuron}" for block in (0, 1) for neuron in (1, 2)
    ]


def test_what_is_not_there_is_named():
    model = model_of(nn.lif())
    network, variables = nn.inference_form(model), nn.variables_of(model)
    with pytest.raises(ValueError, match=r"'layers\.9' is no layer; there are layers\.\d") as caught:
        rollout.record(network, variables, X, layers=["layers.9"])
    near = str(caught.value).partition("there are ")[2].split(", ")
    assert len(near) == len(set(near))
    with pytest.raises(
        ValueError, match="what='residual' is unknown; choose of current, membrane, state, spikes, rate"
    ):
        rollout.record(network, variables, X, what="residual")
    with pytest.raises(TypeError, match="network is the model Sequential; give a form of a model"):
        rollout.record(model, variables, X)
    twice = nn.Linear(5, 5, rngs=nnx.Rngs(0))
    model = features(nn.Linear(5, 5, rngs=nnx.Rngs(1)), nn.lif(), twice, twice, nn.Linear(5, 6, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"layers\.2 is called more than once in a time-step"):
        rollout.record(nn.inference_form(model), nn.variables_of(model), X, layers="layers.2")
