"""What public functions say to something else than they need: what it is, what was expected, and how to make it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import analysis, learning, losses, nn, rollout, training
from tests.needs import (
    BATCH,
    KEY,
    LEARNS,
    LOSS,
    MODEL,
    OF_A_KEY,
    OF_A_LOSS,
    OF_A_MODEL,
    OF_A_NETWORK,
    OF_RNGS,
    RUNS,
    SEPARABILITY,
    SILENT,
    TRAINS,
    VARIABLES,
    F,
    X,
    refuses,
)


class NoNetwork(nnx.Module):
    pass


@pytest.mark.parametrize("name", OF_A_MODEL)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (TRAINS, "model is a network, one form of a model; give the model that it was made from"),
        (nn.Sequential, "model=Sequential is not called yet; make a model with it"),
        (nn.mlp, "model=mlp is not called yet"),
        (VARIABLES, "model is a Variables; give a module such as"),
        (NoNetwork(), "model, a NoNetwork, has no num_steps and no input_shape"),
    ],
    ids=["network", "class", "function", "variables", "module"],
)
def test_a_model_is_asked_for_by_name(name, value, message):
    refuses(message, lambda: OF_A_MODEL[name](value), "model")


@pytest.mark.parametrize("name", OF_A_NETWORK)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (MODEL, "network is the model Sequential; give a form of a model, nn.training_form(model) to learn or"),
        (nn.training_form, "network is training_form, which is not called yet; give a form"),
        (None, "network is a NoneType; give a form"),
    ],
    ids=["model", "function", "None"],
)
def test_a_network_is_asked_for_by_name(name, value, message):
    refuses(message, lambda: OF_A_NETWORK[name](value), "network")


@pytest.mark.parametrize("name", LEARNS)
def test_what_learns_needs_the_training_form(name):
    refuses("the network is in inference form; learn with nn.training_form(model)", lambda: OF_A_NETWORK[name](RUNS))


@pytest.mark.parametrize("name", ["rollout", "make_eval_step"])
def test_what_predicts_needs_the_inference_form(name):
    """In training form a prediction depends on the other inputs of the batch."""
    refuses("the network is in training form, which normalises by the batch", lambda: OF_A_NETWORK[name](TRAINS))


@pytest.mark.parametrize(
    "name", ["firing_rates", "rollout_spikes", "make_comparison", "stbp_gradients", "online_gradients"]
)
def test_what_reads_spikes_needs_a_network_that_records(name):
    message = "the network does not record its spikes; build it with"
    refuses(message, lambda: OF_A_NETWORK[name](SILENT))


@pytest.mark.parametrize("name", OF_A_KEY)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "key is 0; give a key such as jax.random.key(0)"),
        (np.int64(3), "key is an array int64[]; give a key"),
        (jnp.uint32(3), "key is an array uint32[]; give a key"),
        (jax.random.split(KEY), "key is an array of keys (2,); give one of them"),
        (nnx.Rngs(0), "key is a Rngs; give a key"),
    ],
    ids=["integer", "numpy", "array", "keys", "rngs"],
)
def test_a_key_is_asked_for_by_name(name, value, message):
    refuses(message, lambda: OF_A_KEY[name](value))


def test_keys_of_the_old_kind_are_keys_and_draw_the_same():
    old = jax.random.key_data(KEY)
    for call in OF_A_KEY.values():
        if call not in map(OF_A_KEY.get, ("comparison", "coherence_observer", "recalibrate")):  # which compute in numpy
            jax.eval_shape(lambda call=call: jax.tree.leaves(call(old)))
    learn = jax.jit(lambda key: learning.random_step().gradient(TRAINS, LOSS, VARIABLES, BATCH, key))
    jax.tree.map(np.testing.assert_array_equal, learn(old), learn(KEY))


@pytest.mark.parametrize("name", OF_RNGS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "rngs is 0; give generators such as nnx.Rngs(0)"),
        (KEY, "rngs is an array key<fry>[]; give generators"),
        (nnx.Rngs, "rngs is Rngs, which is not called yet; give generators"),
        (nnx.Rngs(dropout=0), "rngs has no stream for parameters; give generators"),
    ],
    ids=["seed", "key", "class", "other stream"],
)
def test_generators_are_asked_for_by_name(name, value, message):
    refuses(message, lambda: OF_RNGS[name](value), "rngs")


@pytest.mark.parametrize("name", OF_A_LOSS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (losses.cross_entropy, "loss=cross_entropy is not called yet; write cross_entropy()"),
        ("cross_entropy", "loss='cross_entropy' is no function of logits and labels"),
        (None, "loss=None is no function"),
    ],
    ids=["class", "word", "None"],
)
def test_a_loss_is_asked_for_by_name(name, value, message):
    refuses(message, lambda: OF_A_LOSS[name](value), "loss")


@pytest.mark.parametrize(
    ("rule", "optimizer", "message"),
    [
        (learning.random_step, optax.sgd(0.1), "rule=random_step is not called yet; write random_step()"),
        ("random_step", optax.sgd(0.1), "rule='random_step' is none; give one such as learning.random_step()"),
        (
            lambda *arguments: None,
            optax.sgd(0.1),
            "is none; give one such as learning.random_step(), or as learning.Rule",
        ),
        (learning.random_step(), optax.sgd, "optimizer=sgd is not called yet; write sgd(...)"),
        (learning.random_step(), "sgd", "optimizer='sgd' is no optax transformation"),
        (learning.random_step(), optax.sgd(0.1).update, "optimizer=update_fn is not called yet"),
    ],
)
def test_rules_and_optimisers_are_asked_for_by_name(rule, optimizer, message):
    name = message.partition("=")[0] if "=" in message else None
    refuses(message, lambda: training.start(MODEL, rule, LOSS, optimizer), name)
    refuses(message, lambda: training.make_train_step(TRAINS, rule, LOSS, optimizer), name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.mlp(8, 3, rngs=nnx.Rngs(0)), "input_shape=8 must be a tuple"),
        (lambda: nn.mlp((0,), 3, rngs=nnx.Rngs(0)), "input_shape[0]=0 must be at least 1"),
        (lambda: nn.mlp((8,), 0, rngs=nnx.Rngs(0)), "num_classes=0 must be at least 1"),
        (lambda: nn.mlp((8,), 3, widths=(2.5,), rngs=nnx.Rngs(0)), "widths[0]=2.5 must be an integer"),
        (lambda: nn.mlp((8,), 3, spec=nn.Spec, rngs=nnx.Rngs(0)), "spec=Spec is not called yet; write Spec()"),
        (lambda: nn.conv_net((8, 8), 3, rngs=nnx.Rngs(0)), "input_shape=(8, 8) must be (height, width, channels)"),
        (lambda: nn.conv_net(8, 3, rngs=nnx.Rngs(0)), "input_shape=8 must be a tuple"),
        (lambda: nn.conv_net((8, 8, 1), 3, widths=(0,), rngs=nnx.Rngs(0)), "widths[0]=0 must be at least 1"),
        (lambda: nn.vgg_snn((8, 8, 0), 3, rngs=nnx.Rngs(0)), "input_shape=(8, 8, 0) must be (height, width, channels)"),
        (lambda: nn.Conv(1, 2, 2, rngs=nnx.Rngs(0)), "kernel_size=2 must be odd"),
        (lambda: nn.Conv(1, 2, stride=0, rngs=nnx.Rngs(0)), "stride=0 must be at least 1"),
        (lambda: nn.Spec(num_steps=2.0), "num_steps=2.0 must be an integer"),
        (lambda: nn.Spec(num_steps=True), "num_steps=True must be an integer"),
        (lambda: nn.BatchNorm(0), "num_channels=0 must be at least 1"),
        (lambda: learning.random_k(1.5), "k=1.5 must be an integer"),
        (lambda: learning.stbp(segment=0.5), "segment=0.5 must be an integer"),
        (lambda: nn.hd_lif(bits=2.5), "bits=2.5 must be an integer"),
        (lambda: losses.weighted(0.5, LOSS), "0.5 is no part of a weighted loss; give pairs"),
        (lambda: losses.weighted((1.0, losses.cross_entropy)), "loss=cross_entropy is not called yet"),
        (lambda: losses.of_mean_output(losses.cross_entropy), "loss=cross_entropy is not called yet"),
        (lambda: losses.tet(losses.cross_entropy), "loss=cross_entropy is not called yet"),
        (lambda: training.warmup_cosine(-0.1, warmup=0, total=3), "learning_rate=-0.1 must be positive"),
        (lambda: training.warmup_cosine(0.1, warmup=0, total=0), "total=0 must be at least 1"),
        (lambda: training.warmup_steps(0.1, milestones=(-1,)), "milestones[0]=-1 must not be negative"),
        (lambda: training.slowed(optax.sgd(0.1), 0.5, {"a": False}), "chosen is True at no parameter"),
        (lambda: training.slowed(optax.sgd, 0.5, {"a": True}), "sgd is not called yet; write sgd(...)"),
        (
            lambda: training.with_own_rule(optax.sgd(0.1), optax.adam, {"a": True}),
            "adam is not called yet; write adam(...)",
        ),
        (lambda: nn.init_state(RUNS, VARIABLES, 0), "batch_size=0 must be at least 1"),
        (lambda: nn.init_state(RUNS, VARIABLES, 2.0), "batch_size=2.0 must be an integer"),
        (lambda: nn.training_form(MODEL, dtype=jnp.int32), "dtype=int32 is none that currents flow in"),
        (lambda: rollout.rollout(RUNS, VARIABLES, [[0.0] * F]), "inputs are a list; give an array"),
    ],
)
def test_sizes_and_shapes_are_looked_at(make, message):
    refuses(message, make)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([2, 0], "steps=[2, 0] of a network of 3; give different steps in rising order from 0 to 2"),
        ([1, 1], "steps=[1, 1] of a network of 3"),
        ([-1], "steps=[-1] of a network of 3"),
        ([0, 3], "steps=[0, 3] of a network of 3"),
        ([], "steps have shape (0,); give [K] time-steps, at least one"),
        (1, "steps have shape (); give [K] time-steps"),
        ([0.0], "steps are float32; give integers from 0 to 2"),
        ([True], "steps are bool; give integers"),
    ],
)
@pytest.mark.parametrize("convert", [list, np.asarray, jnp.asarray], ids=["list", "numpy", "jax"])
def test_steps_that_teach_are_looked_at(steps, message, convert):
    given = convert(steps) if isinstance(steps, list) or convert is not list else steps
    refuses(message, lambda: learning.gradient_at_steps(TRAINS, LOSS, VARIABLES, BATCH, given))


def test_steps_in_order_are_taken_in_any_notation():
    for steps in ([0, 2], (0, 2), np.array([0, 2]), jnp.array([0, 2])):
        jax.eval_shape(lambda steps=steps: learning.gradient_at_steps(TRAINS, LOSS, VARIABLES, BATCH, steps))


ELSEWHERE = {  # what is called with them before, and classes and functions of the same code
    "model": {"intercept", "modules", "neuron_figures", "recalibrate", "save_weights", "load_weights", "transfer"},
    "network": {"forward_step", "is_static", "batch_size", "observed"},
    "key": {"forward_step", "observed", "study", "explain_non_finite", "stbp_gradients", "online_gradients"}
    | {"own_gradient"},
    "rngs": {"resnet19", "resnet34", "vgg13", "post_resnet19", "post_resnet34", "glif_resnet18"}
    | {"vgg11", "vgg11_adaptive", "vgg11_strided", "vgg13_linear"},
}


@pytest.mark.parametrize(
    ("parameter", "asked"), [("model", OF_A_MODEL), ("network", OF_A_NETWORK), ("key", OF_A_KEY), ("rngs", OF_RNGS)]
)
def test_no_public_function_was_forgotten(parameter, asked):
    takes = {
        name
        for package in (nn, rollout, learning, training, SEPARABILITY)
        for name in package.__all__
        if inspect.isfunction(getattr(package, name))
        and parameter in inspect.signature(getattr(package, name)).parameters
    }
    assert takes <= asked.keys() | ELSEWHERE[parameter]


def test_costs_take_no_word_for_a_truth_value():
    refuses("batch_statistics='no' must be True or False", lambda: analysis.measure(MODEL, [X], batch_statistics="no"))
