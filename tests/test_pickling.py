"""What other processes are handed: models, forms, runs and artifacts; what cannot be is refused with a way to do it."""

import copy
import pathlib
import pickle

import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import deploy, learning, nn, rollout
from hdlif_jax.commands import registry
from hdlif_jax.commands.config import ModelConfig, TrainConfig
from hdlif_jax.commands.support.runs import Run
from tests.conftest import small_network

ARTIFACT = pathlib.Path(__file__).parent / "deploy" / "fixtures" / "artifact-v1"
copies = pytest.mark.parametrize("copied", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy])


@copies
@pytest.mark.parametrize("neuron", registry.NEURONS)
def test_models_and_forms_compute_the_same(copied, neuron):
    factory = registry.NEURONS[neuron](ModelConfig(num_steps=2))
    model = nn.mlp((6,), 3, widths=(4,), spec=nn.Spec(2, factory), rngs=nnx.Rngs(0))
    inputs = jax.random.normal(jax.random.key(0), (3, 6))
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    expected = rollout.rollout_spikes(network, variables, inputs)
    again = copied(model)
    found = rollout.rollout_spikes(nn.inference_form(again, record=True), nn.variables_of(again), inputs)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    jax.tree.map(np.testing.assert_array_equal, rollout.rollout_spikes(copied(network), variables, inputs), expected)


@copies
def test_runs(copied):
    model = small_network()
    run = copied(Run(model, nn.variables_of(model), TrainConfig(), 7))
    assert (run.config, run.step) == (TrainConfig(), 7)
    jax.tree.map(np.testing.assert_array_equal, run.variables, nn.variables_of(run.model))


@copies
def test_teachers_and_rules(copied):
    model = nn.mlp((6,), 3, widths=(4,), spec=nn.Spec(1, nn.relu()), rngs=nnx.Rngs(0))
    teacher, inputs = learning.Teacher(model, nn.variables_of(model)), jax.random.normal(jax.random.key(0), (3, 6))
    again = copied(learning.layer_local(teacher, online=True)).teacher
    jax.tree.map(np.testing.assert_array_equal, again.activations(inputs), teacher.activations(inputs))
    rule = learning.traced(learning.every_step(), learning.ratio_trace())
    assert copied(rule) == rule
    with pytest.raises(TypeError, match="pickle what it is made of"):
        pickle.dumps(learning.with_traces(nn.training_form(small_network()), learning.decay_trace()))


@copies
def test_artifacts(copied):
    inputs = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 2)).astype(np.uint8)
    network = deploy.load(ARTIFACT, "float")
    again = copied(network)
    assert again.arithmetic == "float"
    np.testing.assert_array_equal(again(inputs), network(inputs))
    assert copied(deploy.read(ARTIFACT)).manifest == network.manifest


def test_what_is_made_of_functions_says_what_to_pickle_instead():
    model = small_network()
    with pytest.raises(TypeError, match="pickle the model and fold it again"):
        pickle.dumps(deploy.fold.fold(model))
    network = nn.inference_form(model)._replace(model=None)
    with pytest.raises(TypeError, match="pickle what it is made of"):
        pickle.dumps(network)
    assert copy.deepcopy(network) is network
    assert copy.deepcopy(deploy.fold.fold(model)).graph.num_steps == model.num_steps
