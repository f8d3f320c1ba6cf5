"""A neuron, a loss and an optimiser of a user's own through everything, with nothing but the public names."""

import inspect
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import hdlif_jax as hd
from tests.outside import adaptive
from tests.outside.adaptive import AdaptiveLIF, adaptive_step, fold_adaptive

T, B, F, K = 4, 6, 8, 3


def on_sequences():
    rngs = nnx.Rngs(0)
    return hd.nn.Sequential(
        hd.nn.Linear(F, 12, rngs=rngs), AdaptiveLIF, hd.nn.Linear(12, K, rngs=rngs), num_steps=T, input_shape=(F,)
    )


def in_a_resnet():
    spec = hd.nn.Spec(num_steps=2, neuron=AdaptiveLIF)
    return hd.nn.resnet18((8, 8, 2), K, width=2, spec=spec, rngs=nnx.Rngs(0))


def batch_for(model):
    shape = (T, B, F) if model.input_shape == (F,) else (B, *model.input_shape)
    return hd.learning.Batch(2 * jax.random.normal(jax.random.key(1), shape), jnp.arange(B) % K)


def hinge(logits, labels):
    """An own loss: how far the right class is from leading by one."""
    right = jnp.take_along_axis(logits, labels[:, None], 1)
    return jnp.mean(jax.nn.relu(1 + logits - right))


def own_optimizer():
    """Kernels by momentum, everything else by RMSProp."""

    def kinds(params):
        return jax.tree.map(lambda leaf: "kernels" if leaf.ndim > 1 else "others", params)

    return optax.multi_transform({"kernels": optax.sgd(0.05, 0.9), "others": optax.rmsprop(1e-3)}, kinds)


def test_it_is_as_short_as_promised():
    assert len([line for line in inspect.getsource(AdaptiveLIF).splitlines() if line.strip()]) <= 25
    together = inspect.getsource(AdaptiveLIF) + inspect.getsource(adaptive_step)
    assert len([line for line in together.splitlines() if line.strip()]) <= 25
    assert len(inspect.getsource(fold_adaptive).splitlines()) <= 15


@pytest.mark.slow
def test_it_is_typed_as_it_stands():
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", adaptive.__file__]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pathlib.Path(__file__).parents[2])
    assert result.returncode in (0, 1), result.stderr  # 2: it did not come to an end
    mine = [line for line in result.stdout.splitlines() if line.startswith("tests/")]
    assert not mine, mine


@pytest.mark.parametrize("rule", [hd.learning.random_step(), hd.learning.stbp()], ids=repr)
@pytest.mark.parametrize("build", [on_sequences, pytest.param(in_a_resnet, marks=pytest.mark.slow)])
def test_it_learns(build, rule):
    model = build()
    learner, step = hd.training.start(model, rule, hinge, own_optimizer())
    first, losses = learner, []
    for _ in range(12):
        learner, metrics = step(learner, batch_for(model))
        losses.append(float(metrics.loss))
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    moved = jax.tree.leaves(jax.tree.map(lambda new, old: jnp.any(new != old), learner.params, first.params))
    assert all(moved)


def test_its_costs_are_counted():
    model = on_sequences()
    costs = hd.analysis.measure(model, [batch_for(model).inputs])
    assert [(row.path, row.neurons, row.nops) for row in costs.neurons] == [("layers.1", 12, 12 * 5 * T)]
    spikes = next(row for row in costs.synapses if row.path == "layers.2")
    assert spikes.reads == "spikes"
    np.testing.assert_allclose(spikes.sops, costs.neurons[0].firing_rate * 12 * T * K, rtol=1e-6)


def test_its_gradients_are_less_separable_than_those_of_hd_lif():
    def cosine(neuron):
        spec = hd.nn.Spec(num_steps=T, neuron=neuron, weights="float")
        model = hd.nn.conv_net((6, 6, 2), K, widths=(4, 4), spec=spec, rngs=nnx.Rngs(0))
        network = hd.nn.training_form(model, record=True)
        compare = hd.analysis.separability.make_comparison(network, hd.losses.cross_entropy())
        return compare(hd.nn.variables_of(model), batch_for(model)).network.accumulate.cosine

    assert cosine(AdaptiveLIF) < cosine(hd.nn.hd_lif(bits=None)) <= 1


def test_epsilon_of_its_steps():
    currents = jax.random.normal(jax.random.key(0), (T, 50))
    params = {"strength": jnp.full(T, 0.7)}
    state = {"potential": jnp.zeros(50), "adaptation": jnp.zeros(50)}
    found = hd.analysis.separability.temporal_contributions(adaptive_step, params, currents, state=state)
    assert found.weights.shape == (T, T, 50)
    assert len(hd.analysis.separability.distinct_values(found.weights)) > 20


@pytest.mark.parametrize("build", [on_sequences, pytest.param(in_a_resnet, marks=pytest.mark.slow)])
def test_it_deploys_once_it_has_a_rule(build, monkeypatch):
    model = build()
    monkeypatch.setattr(hd.deploy.register, "RULES", dict(hd.deploy.register.RULES))
    with pytest.raises(TypeError, match=r"is of type AdaptiveLIF, which has no folded form; register one with"):
        hd.deploy.fold.fold(model)
    hd.deploy.rule(AdaptiveLIF)(fold_adaptive)
    folded, inputs = hd.deploy.fold.fold(model), batch_for(model).inputs
    network = hd.nn.inference_form(model)
    expected = jax.jit(lambda variables: hd.rollout.rollout(network, variables, inputs))(hd.nn.variables_of(model))
    assert np.ptp(expected, 1).max() > 0
    by_time = inputs if model.input_shape == (F,) else inputs[None]
    logits = jax.jit(lambda arrays: hd.deploy.execute.rollout(folded.graph, "float", arrays, by_time))(folded.arrays)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * float(jnp.abs(expected).max()))
