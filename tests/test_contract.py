"""What everything that the registry holds must do; no entry is named here, so what is added later is tested too."""

import dataclasses
import functools
import math
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, deploy, learning, losses, nn, rollout
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import LearningConfig, ModelConfig
from hdlif_jax.neurons import surrogates

NUM_STEPS, BATCH, CLASSES = 3, 4, 3
SHAPE = (6, 6, 2)
CONFIG = ModelConfig(num_steps=NUM_STEPS)
LOSS = losses.cross_entropy()


def conv_net(neuron=nn.hd_lif(), norm=nn.batch_norm(), num_steps=NUM_STEPS):
    spec = nn.Spec(num_steps=num_steps, neuron=neuron, norm=norm)
    return nn.conv_net(SHAPE, CLASSES, widths=(4,), spec=spec, rngs=nnx.Rngs(0))


def batch_for(model, sequence=False):
    steps = (model.num_steps,) if sequence else ()
    inputs = jax.random.normal(jax.random.key(1), (*steps, BATCH, *model.input_shape))
    return learning.Batch(inputs, jnp.arange(BATCH) % CLASSES)


def step_by_step(network, variables, inputs, key):
    """Logits `[T, B, K]` and the statistics after the last step."""
    hoisted, stats = rollout.hoist(network, *variables, inputs)
    state, logits = nn.init_state(network, variables, BATCH), []
    for t in range(network.num_steps):
        output = rollout.forward_step(network, hoisted, stats, state, inputs, t, key=key)
        state, stats = output.state, output.batch_stats
        logits.append(output.logits)
    return jnp.stack(logits), stats


def check_layer_by_layer_is_step_by_step(model, train=True):
    """Gives the logits `[T, B, K]` of the inference form."""
    key = jax.random.key(2)
    for form in (nn.training_form, nn.inference_form) if train else (nn.inference_form,):
        network, variables, batch = form(model, integer=False), nn.variables_of(model), batch_for(model)

        @jax.jit
        def both(variables, inputs, network=network):
            sequence = network.sequence(network.quantize(variables.params), variables.batch_stats, inputs, key)
            return step_by_step(network, variables, inputs, key), (sequence.logits, sequence.batch_stats)

        (expected, stats), (logits, sequence_stats) = both(variables, batch.inputs)
        np.testing.assert_allclose(logits, expected, atol=2e-6 * max(1, float(jnp.abs(expected).max())), rtol=0)
        chex.assert_trees_all_close(sequence_stats, stats, atol=1e-6)
    return expected


def over_sequence(model):
    """Whether it has normalisers of all time-steps together, so that it learns layer by layer alone."""
    return any(nn.module.is_over_sequence(module) for _, module in nn.modules(model))


def check_learns(model, rule=None, loss=LOSS):
    """It compiles once, and its gradient is finite and not all zero."""
    if rule is None:
        rule = learning.stbp(layerwise=True) if over_sequence(model) else learning.random_step()
    network, variables, batch = nn.training_form(model), nn.variables_of(model), batch_for(model)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(1)
    def gradient(variables, key):
        return rule.gradient(network, loss, variables, batch, key)

    for seed in (0, 1):
        found = gradient(variables, jax.random.key(seed))
    chex.assert_tree_all_finite(found.grads)
    assert any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(found.grads))


def check_online_is_stbp_at_one_step(build, deep=False):
    """To 1e-6, or for deep networks, whose gradients grow with their depth, to 1e-6 of the largest entry."""
    model = build(num_steps=1)
    network, variables, batch = nn.training_form(model), nn.variables_of(model), batch_for(model)

    @jax.jit
    def both(variables):
        rules = learning.random_step(), learning.stbp()
        return [rule.gradient(network, LOSS, variables, batch, jax.random.key(0)).grads for rule in rules]

    online, full = both(variables)
    largest = max(1.0, *(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(full))) if deep else 1.0
    chex.assert_trees_all_close(online, full, atol=1e-6 * largest)


def check_costs(model):
    costs = analysis.measure(model, [batch_for(model).inputs])
    neurons = {path: cell for path, cell in nn.modules(model) if isinstance(cell, nn.NeuronCell)}
    assert {row.path for row in costs.neurons} == set(neurons)
    for row in costs.neurons:
        assert row.nops == row.neurons * neurons[row.path].operations * model.num_steps
    assert costs.summary()["param_mb_paper"] > 0


def check_folds_exactly_or_is_refused(model, expected):
    """Folded it gives the expected logits."""
    inputs = batch_for(model).inputs
    try:
        folded, refusal = deploy.fold.fold(model), None
    except (TypeError, ValueError) as error:
        folded, refusal = None, str(error)
    if folded is None:
        # Which module, and behind its path why.
        named = max((path for path, _ in nn.modules(model) if path in refusal), key=len)
        assert "has no folded form" in refusal or (named and len(refusal.partition(named)[2].split()) > 2), refusal
        return
    logits = jax.jit(lambda arrays: deploy.execute.rollout(folded.graph, "float", arrays, inputs[None]))(folded.arrays)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * max(1, float(jnp.abs(expected).max())), rtol=1e-4)


def check_everything(build):
    """The whole contract of a network: `build(num_steps=…)`."""
    model = build(num_steps=NUM_STEPS)
    check_learns(model)
    if not over_sequence(model):
        check_online_is_stbp_at_one_step(build)
    logits = check_layer_by_layer_is_step_by_step(model, train=not over_sequence(model))
    check_costs(model)
    check_folds_exactly_or_is_refused(model, logits)


@pytest.mark.parametrize("name", registry.NEURONS)
def test_every_neuron(name):
    factory = registry.NEURONS[name](dataclasses.replace(CONFIG, neuron=name, parallel=None))
    assert factory == registry.NEURONS[name](dataclasses.replace(CONFIG, neuron=name, parallel=None))
    assert hash(factory) == hash(factory)
    cell = factory(NUM_STEPS, 4)
    assert isinstance(cell.emits, nn.SpikeInput)
    assert cell.operations >= 1
    check_everything(functools.partial(conv_net, factory))


@pytest.mark.parametrize("name", registry.SURROGATES)
def test_every_surrogate(name):
    neurons = [neuron for neuron, make in registry.NEURONS.items() if hasattr(make(CONFIG), "surrogate")]
    config = dataclasses.replace(CONFIG, neuron=neurons[0], surrogate=name)
    surrogate = registry.SURROGATES[name](config)
    excess = jnp.arange(-300, 301, dtype=jnp.float32) / 100
    np.testing.assert_array_equal(surrogate(excess), (excess >= 0).astype(jnp.float32))
    np.testing.assert_array_equal(surrogate(excess, tie=">"), (excess > 0).astype(jnp.float32))
    derivative = jax.vmap(jax.grad(surrogate))(excess)
    np.testing.assert_allclose(derivative, surrogate.derivative(excess), rtol=1e-6)
    assert jnp.all(derivative >= 0)
    np.testing.assert_allclose(derivative, derivative[::-1], atol=1e-6)  # alike on both sides of the threshold
    assert derivative[300] == derivative.max() > 0
    assert isinstance(surrogate, surrogates.Surrogate)
    neuron = registry.NEURONS[config.neuron](config)
    assert neuron.surrogate == surrogate
    check_learns(conv_net(neuron))


@pytest.mark.parametrize("name", registry.NORMS)
def test_every_norm(name):
    norm = registry.NORMS[name](dataclasses.replace(CONFIG, norm=name))
    check_everything(lambda num_steps: conv_net(norm=norm, num_steps=num_steps))


@pytest.mark.parametrize("name", registry.LOSSES)
def test_every_loss(name):
    loss = registry.LOSSES[name](LearningConfig(loss=name, rule="stbp"))
    logits, labels = jax.random.normal(jax.random.key(0), (NUM_STEPS, BATCH, CLASSES)), jnp.arange(BATCH) % CLASSES
    sequence = isinstance(loss, losses.SequenceLoss)
    value, gradient = jax.value_and_grad(loss)(logits if sequence else logits[0], labels)
    assert value.shape == ()
    chex.assert_tree_all_finite(gradient)
    mixed = loss(logits if sequence else logits[0], jax.nn.one_hot(labels, CLASSES))
    np.testing.assert_allclose(mixed, value, rtol=1e-6)  # labels may be distributions
    check_learns(conv_net(), learning.stbp(), loss)


@functools.cache
def teacher():
    model = conv_net(nn.relu(), num_steps=1)
    return learning.Teacher(model, nn.variables_of(model))


@pytest.mark.parametrize("name", registry.RULES)
def test_every_rule(name):
    entry, config = registry.RULES[name], LearningConfig(rule=name, k=1)
    rule = entry(config, teacher())
    assert rule == entry(config, teacher())
    if entry.has_teacher:
        with pytest.raises(ValueError, match=f"rule='{name}' learns from a teacher"):
            entry(config)
    found = {}
    for num_steps in (NUM_STEPS, 1):
        model = conv_net(num_steps=num_steps)
        network, variables, batch = nn.training_form(model), nn.variables_of(model), batch_for(model)
        chex.clear_trace_counter()
        updates = []

        def descend(grads, opt_state, params, learned, updates=updates):
            updates.append(learned.shape)
            return jax.tree.map(lambda param, grad: param - 0.1 * grad, params, grads), opt_state

        @jax.jit
        @chex.assert_max_traces(1)
        def learn(variables, key, network=network, batch=batch, descend=descend):
            return rule(network, LOSS, descend, learning.Learner(variables, ()), batch, key)

        for seed in (0, 1):
            learner, learned = learn(variables, jax.random.key(seed))
        chex.assert_tree_all_finite(learner.variables)
        chex.assert_shape(learned.loss, ())
        chex.assert_shape(learned.logits, (BATCH, CLASSES))
        chex.assert_shape(learned.steps, (num_steps,))
        assert learned.steps.any()
        assert set(updates) == {(num_steps,)}
        assert rule.updates_per_batch(num_steps) in (1, num_steps)
        found[num_steps] = learner.variables.params
    one = conv_net(num_steps=1)
    full = jax.jit(
        lambda variables: learning.stbp().gradient(nn.training_form(one), LOSS, variables, batch_for(one)).grads
    )(nn.variables_of(one))
    expected = jax.tree.map(lambda param, grad: param - 0.1 * grad, nn.variables_of(one).params, full)
    if entry.has_teacher:  # of the labels, the readout alone learns
        found[1], expected = found[1]["head"], expected["head"]
    chex.assert_trees_all_close(found[1], expected, atol=1e-6)


@pytest.mark.parametrize("name", registry.TRACES)
def test_every_trace(name):
    """It learns, and at one step, without a past, it is none."""
    rule = make.make_rule(LearningConfig(rule="accumulate", trace=name))
    assert rule == make.make_rule(LearningConfig(rule="accumulate", trace=name))
    check_learns(conv_net(nn.lif()), rule)
    model = conv_net(nn.lif(), num_steps=1)
    network, variables, batch = nn.training_form(model), nn.variables_of(model), batch_for(model)
    traced, plain = (
        jax.jit(lambda variables, rule=rule: rule.gradient(network, LOSS, variables, batch).grads)(variables)
        for rule in (rule, learning.accumulate())
    )
    chex.assert_trees_all_close(traced, plain, atol=1e-6)


SIDE = 32  # the least that all networks read


def lively(key, shape, dtype=jnp.float32):
    """Normal with deviation 0.5, by one program for all shapes: spikes get through layers without norms."""
    size = math.prod(shape)
    entries = jax.random.normal(key, (1 << max(12, size.bit_length()),), dtype)
    return jnp.asarray(0.5 * np.asarray(entries)[:size].reshape(shape))


def narrow(name, num_steps):
    """A network of the registry, two channels wide."""
    architecture = registry.NETWORKS[name]
    size = {architecture.size: (2, 2) if architecture.size == "widths" else 2}
    spec = nn.Spec(num_steps=num_steps, init=lively)
    return architecture.build((SIDE, SIDE, 2), CLASSES, spec=spec, rngs=nnx.Rngs(0), **size)


def marked(names):
    """The names as parameters; networks of many layers, whose number is in their name, compile for long."""
    depths = {name: int(re.sub(r"\D", "", name) or 0) for name in names}
    return [pytest.param(name, marks=pytest.mark.slow) if depths[name] >= 18 else name for name in names]


@pytest.mark.parametrize("name", marked(registry.NETWORKS))
def test_every_network(name):
    model = narrow(name, num_steps=2)
    assert (model.num_steps, model.input_shape, model.num_classes) == (2, (SIDE, SIDE, 2), CLASSES)
    check_learns(model)
    logits = check_layer_by_layer_is_step_by_step(model, train=False)
    check_costs(model)
    check_folds_exactly_or_is_refused(model, logits)


@pytest.mark.parametrize("name", marked(registry.NETWORKS))
def test_every_network_hands_traces_on(name):
    """From neurons to the layers that read their spikes, which refuse to learn without."""
    model = narrow(name, num_steps=1)
    network, variables, batch = nn.training_form(model), nn.variables_of(model), batch_for(model)
    rule = learning.traced(learning.accumulate(unroll=False))
    found = jax.eval_shape(
        lambda variables: rule.gradient(network, LOSS, variables, batch, jax.random.key(0)).grads, variables
    )
    assert jax.tree.structure(found) == jax.tree.structure(variables.params)


@pytest.mark.slow  # deep networks compile for long
@pytest.mark.parametrize("name", registry.NETWORKS)
def test_every_network_in_training(name):
    check_online_is_stbp_at_one_step(functools.partial(narrow, name), deep=True)
    check_layer_by_layer_is_step_by_step(narrow(name, num_steps=2))
