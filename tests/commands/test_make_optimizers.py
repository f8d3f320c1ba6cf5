import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import ModelConfig, OptimizerConfig

MODEL = nn.mlp((3,), 2, widths=(4,), spec=nn.Spec(num_steps=4, neuron=nn.lif()), rngs=nnx.Rngs(0))
NETWORK = nn.training_form(MODEL)
PARAMS = jax.tree.map(jnp.ones_like, nn.variables_of(MODEL).params)
SGD = OptimizerConfig(weight_decay=0.5)


def updated(config, grads, count=4, rate=0.1):
    """Parameters, which begin at 1, after some updates."""
    optimizer = make.make_optimizer(config, lambda count: jnp.float32(rate), NETWORK)
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(count):
        with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
            updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def check_all(name, value, params):
    """Compares all parameters of a name."""
    found = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == name]
    assert found, name
    for leaf in found:
        np.testing.assert_allclose(leaf, value, rtol=2e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_has_momentum_and_coupled_decay(nesterov):
    """Against the recursion of the reference optimiser, written out for one weight."""
    params = updated(dataclasses.replace(SGD, nesterov=nesterov), jax.tree.map(jnp.ones_like, PARAMS))
    weight, velocity = 1.0, 0.0
    for _ in range(4):
        grad = 1 + 0.5 * weight
        velocity = 0.9 * velocity + grad
        weight -= 0.1 * (grad + 0.9 * velocity if nesterov else velocity)
    check_all("kernel", weight, params)


def adam(gradient, count, rate, decay=0.0):
    """Adam with coupled decay by numpy, for one weight that begins at 1."""
    weight, first, second = 1.0, 0.0, 0.0
    for t in range(1, count + 1):
        grad = gradient + decay * weight
        first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad**2
        weight -= rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return weight


def test_the_decay_of_adam_is_coupled():
    """As part of the gradient it is divided by the second moment too; that of AdamW is not."""
    config, grads = OptimizerConfig(name="adam", weight_decay=0.5), jax.tree.map(lambda leaf: -0.4 + 0 * leaf, PARAMS)
    check_all("kernel", adam(-0.4, 3, 0.1, 0.5), updated(config, grads, 3))
    check_all("bias", adam(-0.4, 3, 0.1), updated(config, grads, 3))


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
@pytest.mark.parametrize(
    ("decay_all", "decays"), [(False, {"kernel"}), (True, {"kernel", "bias", "raw_decay", "threshold"})]
)
def test_what_decays(name, decay_all, decays):
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    params = updated(OptimizerConfig(name=name, weight_decay=0.5, decay_all=decay_all), zeros, 1)
    moved = {path[-1].key for path, leaf in jax.tree_util.tree_leaves_with_path(params) if np.any(leaf != 1)}
    assert moved == decays


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
@pytest.mark.parametrize("decay_all", [False, True])
def test_neurons_learn_by_adam_at_a_rate_of_their_own(name, decay_all):
    """Constant, whatever the rate of the others is, and without decay; the others learn as without it."""
    config = OptimizerConfig(name=name, weight_decay=0.5, decay_all=decay_all)
    grads = jax.tree.map(lambda leaf: 0.3 + 0 * leaf, PARAMS)
    plain, own = updated(config, grads), updated(dataclasses.replace(config, cell_rate=0.02), grads)
    for neuron in ("raw_decay", "threshold"):
        check_all(neuron, adam(0.3, 4, 0.02), own)
    for path, leaf in jax.tree_util.tree_leaves_with_path(own):
        if path[-1].key in ("kernel", "bias"):
            np.testing.assert_allclose(leaf, functools.reduce(lambda tree, key: tree[key.key], path, plain), rtol=1e-6)


def test_rates_of_what_neurons_do_not_have_are_refused():
    fixed = nn.Spec(num_steps=2, neuron=nn.lif(learn_decay=False, learn_threshold=False))
    network = nn.training_form(nn.mlp((3,), 2, widths=(4,), spec=fixed, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"^cell_rate=0.1 is of what neurons learn, and these learn nothing; leave"):
        make.make_optimizer(OptimizerConfig(cell_rate=0.1), lambda count: 0.1, network)
    with pytest.raises(ValueError, match=r"^gate_factor=0.1 is of the gates of neurons such as glif, and these have"):
        make.make_optimizer(OptimizerConfig(gate_factor=0.1), lambda count: 0.1, network)


def test_the_gates_of_glif_move_by_a_share():
    """Beside its other neuron parameters, which move as all else."""
    spec = make.make_spec(ModelConfig(neuron="glif", num_steps=3))
    network = nn.training_form(nn.mlp((3,), 2, widths=(4,), spec=spec, rngs=nnx.Rngs(0)))
    params = nn.variables_of(network.model).params
    found = []
    for factor in (1.0, 0.1):
        optimizer = make.make_optimizer(OptimizerConfig(gate_factor=factor), lambda count: jnp.float32(0.5), network)
        updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
        found.append({keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(updates)})
    gates = [path for path in found[0] if ".gates." in path]
    assert len(gates) == 3
    for path, leaf in found[0].items():
        np.testing.assert_allclose(found[1][path], leaf * (0.1 if path in gates else 1), rtol=1e-6)


def keystr(path):
    return jax.tree_util.keystr(path, simple=True, separator=".")


def rates(epochs=12, **fields):
    schedule = make.make_schedule(OptimizerConfig(learning_rate=0.4, **fields), 10, epochs)
    return [float(schedule(epoch * 10)) for epoch in range(epochs)]


def test_schedules_count_epochs():
    schedule = make.make_schedule(OptimizerConfig(learning_rate=0.4, warmup_epochs=2), 10, epochs=12)
    np.testing.assert_allclose(
        [schedule(0), schedule(20), schedule(70), schedule(120)], [0.004, 0.4, 0.2, 0], atol=1e-6
    )


def test_a_schedule_of_steps_falls_at_its_epochs_and_a_constant_one_never():
    found = rates(schedule="steps", milestones=(3, 7.5), decay_factor=0.5, warmup_epochs=1)
    np.testing.assert_allclose(found, [0.004, *[0.4] * 2, *[0.2] * 5, *[0.1] * 4], rtol=1e-6)
    np.testing.assert_allclose(rates(schedule="constant", warmup_epochs=0), [0.4] * 12, rtol=1e-6)
    longer = rates(24, schedule="steps", milestones=(3, 7.5), decay_factor=0.5, warmup_epochs=1)
    assert longer[:12] == found  # so a run that is trained longer goes on as it was


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "steps"}, "schedule='steps' falls at milestones, and milestones=(); give epochs in rising"),
        ({"schedule": "steps", "milestones": (60, 20)}, "milestones=(60.0, 20.0); give epochs in rising order"),
        ({"milestones": (60,)}, "milestones=(60.0,) is of schedule='steps', and the schedule is cosine; leave"),
        ({"schedule": "constant", "decay_factor": 0.5}, "decay_factor=0.5 is of schedule='steps', and the schedule is"),
        ({"name": "adam", "nesterov": False}, "nesterov=False is of the momentum of sgd, and adam has none; leave"),
    ],
)
def test_fields_of_another_schedule_or_optimiser_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        OptimizerConfig(**fields)
