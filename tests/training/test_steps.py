import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, rollout, training
from hdlif_jax.learning import Batch
from hdlif_jax.training import initial_state, make_eval_step, make_train_step, normalize
from tests.conftest import small_network

RULES = [
    learning.random_step(),
    learning.random_k(2),
    learning.accumulate(),
    learning.every_step(),
    learning.stbp(),
    learning.stbp(segment=2),
    learning.stbp(layerwise=True),
]


def make_step(rule, seed=0, **options):
    model = small_network(widths=(4,), **options)
    optimizer = optax.sgd(0.1, 0.9, nesterov=True)
    step = make_train_step(nn.training_form(model), rule, losses.cross_entropy(0.1), optimizer, seed=seed)
    chex.clear_trace_counter()
    return jax.jit(chex.assert_max_traces(step, 1)), initial_state(model, optimizer)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_every_rule_lowers_the_loss_and_compiles_once(rule, images, labels):
    step, state = make_step(rule)
    losses = []
    for _ in range(10):
        state, metrics = step(state, Batch(images, labels))
        losses.append(float(metrics.loss))
    assert int(state.step) == 10
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_a_step_is_a_function_of_state_and_seed(images, labels):
    step, state = make_step(learning.random_step())
    first, _ = step(state, Batch(images, labels))
    second, _ = step(state, Batch(images, labels))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_only_the_drawn_step_s_parameters_move(images, labels):
    step, state = make_step(learning.random_step(), neuron="mem-bn", parallel=False)
    for _ in range(3):
        new_state, _ = step(state, Batch(images, labels))
        before, after = state.params["blocks"][0]["neuron1"], new_state.params["blocks"][0]["neuron1"]
        moved = [np.asarray(after[name] != before[name]).reshape(4, -1).any(1) for name in before]
        assert all(row.sum() == 1 for row in moved)
        assert len({tuple(row) for row in moved}) == 1
        state = new_state


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


def test_a_whole_training_takes_five_lines():
    rngs = nnx.Rngs(0)
    model = nn.Sequential(
        nn.Linear(8, 16, rngs=rngs), nn.lif(), nn.Linear(16, 3, rngs=rngs), num_steps=4, input_shape=(8,)
    )
    learner, step = training.start(model, learning.random_step(), losses.cross_entropy(0.1), optax.adam(0.02))
    labels = jnp.arange(30) % 3
    inputs = jax.random.normal(jax.random.key(0), (30, 8)) + 3 * jax.nn.one_hot(labels, 8)
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        for _ in range(60):
            learner, metrics = step(learner, (inputs, labels))
    assert metrics.accuracy > 0.95
    logits = rollout.rollout(nn.inference_form(model), learner.variables, inputs)
    assert np.mean(logits.sum(0).argmax(-1) == labels) > 0.95


def test_an_own_loss_and_rule_are_functions(images, labels):
    class FirstStep(learning.GradientRule):
        def gradient(self, network, loss, variables, batch, key=None):
            return learning.gradient_at_steps(network, loss, variables, batch, jnp.array([0]))

    learner, step = training.start(
        small_network(), FirstStep(), lambda logits, labels: jnp.mean(jnp.square(logits)), optax.sgd(0.1)
    )
    first, metrics = step(learner, Batch(images, labels))
    second, later = step(first, Batch(images, labels))
    assert later.loss < metrics.loss
    moved = (
        second.params["blocks"][0]["neuron1"]["raw_threshold"]
        != learner.params["blocks"][0]["neuron1"]["raw_threshold"]
    )
    np.testing.assert_array_equal(moved, [True, False, False, False])


def test_start_leaves_the_first_learner_usable(images, labels):
    learner, step = training.start(small_network(), learning.accumulate(), losses.cross_entropy(), optax.sgd(0.1))
    first, _ = step(learner, Batch(images, labels))
    again, _ = step(learner, Batch(images, labels))
    chex.assert_trees_all_equal(first, again)


@pytest.mark.parametrize(
    ("rule", "loss", "message"),
    [
        (learning.random_step, losses.cross_entropy(), r"rule=random_step is not called yet; write random_step\(\)"),
        (
            learning.random_step(),
            losses.cross_entropy,
            r"loss=cross_entropy is not called yet; write cross_entropy\(\)",
        ),
    ],
)
def test_rules_and_losses_without_their_brackets_are_refused(rule, loss, message):
    with pytest.raises(TypeError, match=message):
        training.start(small_network(), rule, loss, optax.sgd(0.1))


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adamw(0.1, weight_decay=0.1),
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9, nesterov=True)),
        optax.MultiSteps(optax.sgd(0.1, 0.9), 2),
    ],
    ids=["adamw", "chain", "MultiSteps"],
)
def test_start_wraps_an_own_optimiser_by_itself(optimizer):
    """Steps that were not drawn keep still, though momentum and decay would move them."""
    model = nn.mlp((5,), 3, widths=(4,), rngs=nnx.Rngs(0))
    learner, step = training.start(model, learning.random_step(), losses.cross_entropy(), optimizer)
    batch = Batch(jax.random.normal(jax.random.key(0), (6, 5)), jnp.arange(6) % 3)
    moved = []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(8):
            before = learner
            learner, _ = step(learner, batch)
            after, earlier = (state.params["layers"][1]["raw_threshold"] for state in (learner, before))
            moved.append(np.asarray(after != earlier))
    counts = np.sum(moved, 1)
    assert counts.max() <= (2 if isinstance(optimizer, optax.MultiSteps) else 1)
    assert np.sum(counts > 0) >= 3
    assert len({tuple(row) for row in moved if row.any()}) > 1
