"""Parameters with a rule or a rate of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, training
from hdlif_jax.neurons import surrogates
from hdlif_jax.training import Checkpoints, only_learned_steps
from tests.training.trainers import make_dataset

NUM_STEPS = 3
SPIKE = surrogates.triangle()


class Gates(nn.Module):
    """Gates of each step, as a part of a cell."""

    def __init__(self, num_steps, num_channels):
        self.raw_decay = nn.PerStepParam(jnp.zeros((num_steps, num_channels)))
        self.raw_reset = nnx.Param(jnp.zeros(num_channels))


class GatedCell(nn.NeuronCell):
    """A LIF with learned gates."""

    emits = nn.BINARY
    operations = 5

    def __init__(self, num_steps, num_channels):
        self.gates = Gates(num_steps, num_channels)
        self.raw_threshold = nnx.Param(jnp.zeros(()))

    def advance(self, state, x, tick):
        decay, reset = (
            jax.nn.sigmoid(raw).reshape((1,) * (x.ndim - 1) + (-1,))
            for raw in (self.gates.raw_decay[...][tick.t], self.gates.raw_reset[...])
        )
        membrane = decay * state + x
        spikes = SPIKE(membrane - jnp.exp(self.raw_threshold[...]))
        return membrane - reset * spikes, spikes


def make_model():
    spec = nn.Spec(num_steps=NUM_STEPS, neuron=GatedCell)
    return nn.conv_net((5, 5, 2), 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0))


def paths(chosen):
    leaves = jax.tree_util.tree_leaves_with_path(chosen)
    return {jax.tree_util.keystr(path, simple=True, separator=".") for path, is_chosen in leaves if is_chosen}


def test_neurons_and_names_choose_their_parameters():
    network = nn.training_form(make_model())
    neurons, gates = paths(training.neuron_params(network)), paths(training.params_named(network, "gates"))
    assert jax.tree.structure(training.neuron_params(network)) == jax.tree.structure(network.per_step)
    assert gates < neurons
    assert {path.split(".")[-1] for path in gates} == {"raw_decay", "raw_reset"}
    assert {path.split(".")[-1] for path in neurons} == {"raw_decay", "raw_reset", "raw_threshold"}
    others = paths(jax.tree.map(lambda is_neuron: not is_neuron, training.neuron_params(network)))
    assert {path.split(".")[-1] for path in others} == {"kernel", "bias", "scale"}
    assert paths(training.params_named(network, "gate")) == set()  # the name, and no part of it


def test_a_network_of_own_functions_has_no_neurons_to_ask():
    with pytest.raises(ValueError, match="a network of your own functions has no cells; say which parameters"):
        training.neuron_params(nn.training_form(make_model())._replace(model=None))


@pytest.mark.parametrize("rule", [optax.sgd(0.1, 0.9), optax.adam(0.1)], ids=["sgd", "adam"])
def test_slowed_parameters_move_by_a_share_of_the_others_step(rule):
    params = {"gate": jnp.ones(3), "kernel": jnp.ones((2, 3))}
    grads = jax.tree.map(lambda leaf: 0.5 * leaf, params)
    slowed = training.slowed(rule, 0.1, {"gate": True, "kernel": False})
    state = slowed.init(params)
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        for _ in range(3):
            updates, state = slowed.update(grads, state, params)
    np.testing.assert_allclose(updates["gate"], 0.1 * updates["kernel"][0], rtol=1e-6)
    assert np.all(updates["gate"] < 0)


def own_rules(network):
    """Neurons by Adam, the others by SGD with decay, and gates slower."""
    decay = optax.add_decayed_weights(0.01, training.decaying_kernels(network.per_step))
    rule = optax.chain(decay, optax.sgd(0.1, 0.9, nesterov=True))
    rule = training.with_own_rule(rule, optax.adam(0.01), training.neuron_params(network))
    return training.slowed(rule, 0.1, training.params_named(network, "gates"))


@pytest.mark.parametrize("collects", [False, True], ids=["each batch", "two batches"])
def test_of_parameters_by_time_the_learned_step_moves_alone(collects):
    network = nn.training_form(make_model())
    rule = own_rules(network)
    optimizer = only_learned_steps(optax.MultiSteps(rule, 2) if collects else rule, network.per_step)
    params = nn.variables_of(make_model()).params
    state = optimizer.init(params)
    ones = jax.tree.map(jnp.ones_like, params)
    for t in (0, 2, 2, 2):
        learned = jnp.arange(NUM_STEPS) == t
        grads = jax.tree.map(
            lambda leaf, by_time, learned=learned: jnp.where(learned[:, None], leaf, 0) if by_time else leaf,
            ones,
            network.per_step,
        )
        before = params
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(grads, state, params, learned=learned)
        params = optax.apply_updates(params, updates)

    def changed(name):
        leaves = zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(before), strict=True)
        return [np.asarray(new != old) for (path, new), old in leaves if path[-1].key == name]

    assert len(changed("raw_decay")) >= 2
    for moved in changed("raw_decay"):  # although Adam remembers a gradient of step 0
        np.testing.assert_array_equal(moved.all(1), [False, False, True])
    assert all(moved.all() for name in ("kernel", "raw_reset", "raw_threshold") for moved in changed(name))


@jax.numpy_dtype_promotion("standard")  # optax' Adam mixes its counter with floats
def test_a_run_with_rules_of_their_own_goes_on_bit_for_bit(tmp_path):
    def trainer():
        model, plan = make_model(), training.plan(make_dataset(), epochs=2, batch_size=16, validation_fraction=0.2)
        optimizer = own_rules(nn.training_form(model))
        return training.Trainer(plan, model, learning.random_step(), losses.cross_entropy(), optimizer)

    quiet = {"on_warning": lambda message: None}  # no online rule reaches the reset's gate
    whole = trainer().fit(callbacks=training.Callbacks(**quiet)).state
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    stops = training.Callbacks(should_stop=lambda step: step == 4, **quiet)
    with pytest.raises(training.Interrupted):
        trainer().fit(None, checkpoints, stops)
    again = trainer()
    state = again.fit(checkpoints.load(again.initial_state), checkpoints, training.Callbacks(**quiet)).state
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, state, whole)
