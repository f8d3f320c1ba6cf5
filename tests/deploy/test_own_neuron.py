"""A neuron that the library does not know, deployed by a rule of a few lines."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import deploy, nn
from hdlif_jax.deploy import execute, register
from hdlif_jax.deploy.fold import fold, rule
from hdlif_jax.neurons import charge
from hdlif_jax.neurons.surrogates import triangle
from tests.deploy.networks import inputs_for, prepare_inputs, unfolded_logits, unsettled


def adaptive_step(params, state, current):
    """LIF whose threshold 1 + a rises with every spike and decays."""
    membrane = charge(params["decay"], state["v"], current)
    threshold = 1 + state["a"]
    spikes = triangle()(membrane - threshold)
    return {"v": membrane - spikes * threshold, "a": 0.9 * state["a"] + params["strength"] * spikes}, spikes


class AdaptiveLIF(nn.NeuronCell):
    emits = nn.BINARY
    operations = 5

    def __init__(self, num_steps, num_channels):
        self.strength = nnx.Param(jnp.float32(0.3))
        self.raw_decay = nn.PerStepParam(jnp.zeros(num_steps))

    def start(self, x):
        return {"v": jnp.zeros_like(x), "a": jnp.zeros_like(x)}

    def advance(self, state, x, tick):
        params = {"decay": jax.nn.sigmoid(self.raw_decay[tick.t]), "strength": self.strength[...]}
        return adaptive_step(params, state, x)


def fold_adaptive(folding, cell, name, source):
    params = {"decay": jax.nn.sigmoid(cell.raw_decay[...]), "strength": cell.strength[...]}
    folding.neuron(name, source, cell, adaptive_step, params, height=1.0)


@pytest.fixture
def rules(monkeypatch):
    """A register of rules that ends with the test."""
    monkeypatch.setattr(register, "RULES", dict(register.RULES))
    return register.RULES


def sequential():
    rngs = nnx.Rngs(0)
    layers = (
        nn.Conv(2, 6, rngs=rngs),
        nn.BatchNorm(6),
        AdaptiveLIF(3, 6),
        nn.AvgPool2x2(),
        nn.Conv(6, 8, weights="ternary", rngs=rngs),
        nn.BatchNorm(8),
        AdaptiveLIF(3, 8),
        nn.Flatten(),
        nn.Linear(8 * 9, 5, rngs=rngs),
    )
    return nn.Sequential(*layers, num_steps=3, input_shape=(6, 6, 2))


def conv_net():
    spec = nn.Spec(num_steps=3, neuron=AdaptiveLIF)
    return nn.conv_net((6, 6, 2), 5, widths=(6, 8), spec=spec, rngs=nnx.Rngs(0))


def perceptron(kind):
    spec = nn.Spec(num_steps=3, neuron=lambda num_steps, num_channels: kind(num_steps, num_channels))
    return nn.mlp((4,), 3, widths=(8,), spec=spec, rngs=nnx.Rngs(0))


NETWORKS = {
    "sequential": (sequential, "layers.2", ("layers.2", "layers.6")),
    "conv_net": (conv_net, "blocks.0.neuron1", tuple(f"blocks.{block}.neuron{n}" for block in (0, 1) for n in (1, 2))),
}


def step_by_step(folded, x):
    graph, states, logits = folded.graph, {}, []
    current = execute.encode(graph, "integer", folded.arrays, x[None])
    for t in range(graph.num_steps):
        states, values = execute.advance(graph, "integer", folded.arrays, states, current, jnp.int32(t), 1)
        logits.append(values[graph.logits][0])
    return np.stack(logits)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_refused_by_name_until_it_has_a_rule_and_then_exact_in_every_form(network, rules, tmp_path):
    build, first, neurons = NETWORKS[network]
    model = unsettled(build())
    with pytest.raises(TypeError) as refusal:
        fold(model)
    assert str(refusal.value) == (
        f"{first} is of type AdaptiveLIF, which has no folded form; register one with "
        "hdlif_jax.deploy.fold.rule(AdaptiveLIF), or deploy a network without it"
    )
    rule(AdaptiveLIF)(fold_adaptive)
    assert len(inspect.getsource(fold_adaptive).splitlines()) <= 15

    folded = fold(model)
    inputs = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(np.uint8)
    x = prepare_inputs(inputs)
    expected = unfolded_logits(model, x)
    assert np.ptp(expected, 1).max() > 0.1  # spikes reach the output
    close = {"rtol": 1e-5, "atol": 1e-5 * np.abs(expected).max()}
    for arithmetic in ("integer", "float"):
        np.testing.assert_allclose(execute.rollout(folded.graph, arithmetic, folded.arrays, x[None]), expected, **close)
    np.testing.assert_allclose(step_by_step(folded, x), expected, **close)

    made = deploy.make_artifact(folded, prepare_inputs, input_kind="image", class_names=tuple("abcde"))
    deploy.write(tmp_path / "artifact", made)
    for loaded in (deploy.Deployed(made, "integer"), deploy.load(tmp_path / "artifact", "integer")):
        assert loaded.manifest.integer_layers >= 1
        np.testing.assert_allclose(loaded(inputs), expected, **close)
        assert loaded.manifest.state.keys() == {f"{neuron}.{field}" for neuron in neurons for field in "va"}
        state, streamed = loaded.init_state(3), []
        for _ in range(3):
            state, logits = loaded.step(state, inputs)
            streamed.append(logits)
        np.testing.assert_allclose(np.stack(streamed), expected, **close)


def test_its_declared_operations_are_carried_along(rules):
    rule(AdaptiveLIF)(fold_adaptive)
    assert {neuron.operations for neuron in fold(conv_net()).graph.neurons} == {5}


def test_a_subclass_needs_a_rule_of_its_own(rules):
    class SlowLIF(AdaptiveLIF):
        pass

    rule(AdaptiveLIF)(fold_adaptive)
    model = conv_net()
    model.blocks[1].neuron2 = SlowLIF(3, 8)
    with pytest.raises(TypeError, match=r"blocks\.1\.neuron2 is of type SlowLIF, which has no folded form"):
        fold(model)


class Warm(AdaptiveLIF):
    """Starts from other values than zeros."""

    def start(self, x):
        return {"v": jnp.full_like(x, 0.4), "a": jnp.zeros_like(x)}


def test_a_state_that_does_not_start_from_zeros_is_part_of_the_programs(rules):
    rule(Warm)(fold_adaptive)
    model = unsettled(perceptron(Warm))
    made = deploy.make_artifact(fold(model), prepare_inputs, input_kind="image", class_names=tuple("abc"))
    loaded = deploy.Deployed(made)
    assert loaded.input_shape == (4,)
    inputs = np.random.default_rng(0).integers(0, 256, (5, 4)).astype(np.uint8)
    expected = unfolded_logits(model, prepare_inputs(inputs))
    np.testing.assert_allclose(loaded(inputs), expected, rtol=1e-5, atol=1e-5)
    state = loaded.init_state(5)
    for t in range(3):
        state, logits = loaded.step(state, inputs)
        np.testing.assert_allclose(logits, expected[t], rtol=1e-5, atol=1e-5)


class Counting(AdaptiveLIF):
    def start(self, x):
        return {**super().start(x), "spikes": jnp.zeros(x.shape, jnp.int32)}


def counting_step(params, state, current):
    spikes_so_far = state["spikes"]
    state, spikes = adaptive_step(params, state, current)
    return {**state, "spikes": spikes_so_far + spikes.astype(jnp.int32)}, spikes


def test_a_state_that_no_artifact_can_hold_is_refused_by_name(rules):
    @rule(Counting)
    def fold_counting(folding, cell, name, source):
        params = {"decay": 0.5, "strength": cell.strength[...]}
        folding.neuron(name, source, cell, counting_step, params, height=1.0)

    model = perceptron(Counting)
    with pytest.raises(ValueError, match=r"layers\.1\.spikes carries int32 \['B', 8\]; an artifact's state is float32"):
        deploy.make_artifact(fold(model), prepare_inputs, input_kind="image", class_names=tuple("abc"))


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({}, ValueError, r"layers\.1 emits binary spikes; tell folding\.neuron their height, such as height=1\.0"),
        (
            {"height": 1.0, "params": {"decay": np.zeros(8)}},
            ValueError,
            r"layers\.1: decay has shape \(8,\); expected a scalar, \[3\] or \[1 or 3, \.\.\.\]: time comes first",
        ),
        (
            {"height": 1.0, "params": {"the decay": 0.5}},
            ValueError,
            "has an array 'the decay'; name it by an identifier",
        ),
    ],
)
def test_rules_that_say_too_little_are_told_so(rules, keywords, error, message):
    keywords = {"params": {"decay": 0.5, "strength": 0.3}, **keywords}
    rule(AdaptiveLIF)(lambda folding, cell, name, source: folding.neuron(name, source, cell, adaptive_step, **keywords))
    with pytest.raises(error, match=message):
        fold(perceptron(AdaptiveLIF))


def test_a_rule_that_gives_no_value_is_told_so(rules):
    rule(AdaptiveLIF)(lambda folding, cell, name, source: None)
    with pytest.raises(TypeError, match=r"the rule of AdaptiveLIF gives blocks\.0\.neuron1 no value"):
        fold(conv_net())


def test_rules_are_for_types_of_modules():
    with pytest.raises(TypeError, match=r"folds no module; give it a type such as rule\(nn.Conv\)"):
        rule(nn.lif())


class Scaled(nnx.Module):
    """A module of the user's without parts, that is no cell."""

    def __init__(self, factor):
        self.factor = nnx.Param(jnp.float32(factor))

    def __call__(self, x):
        return self.factor[...] * x


def test_so_is_a_layer_without_memory(rules):
    rngs = nnx.Rngs(0)
    layers = nn.Linear(4, 8, rngs=rngs), Scaled(2.0), nn.lif(), nn.Linear(8, 3, rngs=rngs)
    model = unsettled(nn.Sequential(*layers, num_steps=2, input_shape=(4,)))
    with pytest.raises(TypeError, match=r"layers\.1 is of type Scaled, which has no folded form"):
        fold(model)

    @rule(Scaled)
    def fold_scaled(folding, module, name, source):
        factor = {"factor": module.factor[...]}
        folding.function(name, folding.current(source), "scaled", lambda fields, x: fields["factor"] * x, factor)

    folded, x = fold(model), inputs_for(model)
    np.testing.assert_allclose(
        execute.rollout(folded.graph, "float", folded.arrays, x[None]), unfolded_logits(model, x), rtol=1e-5, atol=1e-6
    )
