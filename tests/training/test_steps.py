import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.training import (
    LearningConfig,
    ModelConfig,
    OptimizerConfig,
    TrainState,
    build_model,
    make_eval_step,
    make_optimizer,
    make_train_step,
    normalize,
    smoothed_cross_entropy,
)
from tests.conftest import small_network


def make_step(rule, seed=0, **options):
    model = small_network(**options)
    network, variables = nn.training_form(model), nn.variables_of(model)
    optimizer = make_optimizer(OptimizerConfig(), lambda count: 0.1, network.per_step)
    state = TrainState(jnp.int32(0), *variables, optimizer.init(variables.params))
    step = make_train_step(
        network, optimizer, LearningConfig(rule=rule), lambda key, inputs, labels: (inputs, labels), seed
    )
    chex.clear_trace_counter()
    return jax.jit(chex.assert_max_traces(step, 1)), state


@pytest.mark.parametrize("rule", ["random_step", "random_k", "accumulate", "every_step", "stbp"])
def test_every_rule_lowers_the_loss_and_compiles_once(rule, images, labels):
    step, state = make_step(rule)
    losses = []
    for _ in range(10):
        state, metrics = step(state, images, labels)
        losses.append(float(metrics.loss))
    assert int(state.step) == 10
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_a_step_is_a_function_of_state_and_seed(images, labels):
    step, state = make_step("random_step")
    first, _ = step(state, images, labels)
    second, _ = step(state, images, labels)
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_only_the_drawn_step_s_parameters_move(images, labels):
    step, state = make_step("random_step", neuron="mem-bn", parallel=False)
    for _ in range(3):
        new_state, _ = step(state, images, labels)
        before, after = state.params["blocks"][0]["neuron1"], new_state.params["blocks"][0]["neuron1"]
        moved = [np.asarray(after[name] != before[name]).reshape(4, -1).any(1) for name in before]
        assert all(row.sum() == 1 for row in moved)
        assert len({tuple(row) for row in moved}) == 1
        state = new_state


def test_loss_with_label_smoothing():
    logits = jnp.float32([[2, 1, 0], [0, 0, 0]])
    labels = jnp.array([0, 2])
    targets = 0.9 * np.eye(3)[[0, 2]] + 0.1 / 3
    expected = -(targets * np.asarray(jax.nn.log_softmax(logits))).sum(1).mean()
    loss = smoothed_cross_entropy(0.1)
    np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(logits, jax.nn.one_hot(labels, 3)), expected, rtol=1e-6)
    plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    np.testing.assert_allclose(smoothed_cross_entropy(0.0)(logits, labels), plain, rtol=1e-6)


def test_normalize():
    inputs = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 2), np.uint8)
    expected = (inputs / 255 - [0.4, 0.5]) / [0.2, 0.3]
    np.testing.assert_allclose(normalize(jnp.asarray(inputs), (0.4, 0.5), (0.2, 0.3)), expected, atol=1e-5)


def test_eval_step_counts_and_ignores_padding(images, labels):
    model = small_network()
    network, variables = nn.inference_form(model), nn.variables_of(model)
    count = make_eval_step(network, lambda inputs: inputs)
    logits = np.asarray(rollout.rollout(network, variables, images))
    expected = (logits.cumsum(0).argmax(-1) == np.asarray(labels)).sum(1)
    np.testing.assert_array_equal(count(variables, images, labels), expected)
    np.testing.assert_array_equal(count(variables, images, jnp.full(8, -1)), 0)


@pytest.mark.parametrize(
    ("config", "features"),
    [
        (ModelConfig(widths=(4, 8)), 8),
        (ModelConfig(architecture="resnet18", width=4), 32),
        (ModelConfig(architecture="resnet34"), 512),
        (ModelConfig(architecture="vgg13", width=4), 32),
        (ModelConfig(architecture="vgg-snn", width=4, neuron="mem-bn"), 32 * 2 * 2),
    ],
)
def test_a_configuration_builds_its_architecture(config, features):
    model = nnx.eval_shape(lambda: build_model(config, (32, 32, 2), 7, seed=0))
    assert model.head.kernel.shape == (features, 7)
    assert model.num_steps == config.num_steps
