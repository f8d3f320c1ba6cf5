"""LTL: nothing passes between layers, the online gradient is the written formula, and its memory is flat."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, rollout
from hdlif_jax.learning import Batch
from hdlif_jax.neurons.surrogates import rectangle
from tests.learning.test_online import relative_difference

LIF = nn.lif(
    rectangle(0.4, 1.0), decay=0.9, learn_decay=False, threshold=0.6, learn_threshold=False, height=1.0, reset="hard"
)
LOSS = losses.cross_entropy()
LABELS = jnp.arange(5) % 3
WIDTHS = (6, 5)


def mlp(neuron=LIF, num_steps=5, widths=WIDTHS, seed=0):
    spec = nn.Spec(num_steps=num_steps, neuron=neuron)
    return nn.mlp((4,), 3, widths=widths, spec=spec, rngs=nnx.Rngs(seed))


def teacher(**options):
    model = mlp(**{"neuron": nn.relu(ceiling=2.0), "num_steps": 1, "seed": 7} | options)
    return learning.Teacher(model, nn.variables_of(model))


INPUTS = 1.5 * jax.random.normal(jax.random.key(2), (5, 4))
BATCH = Batch(INPUTS, LABELS)
TEACHER = teacher()
OFFLINE, ONLINE = learning.layer_local(TEACHER), learning.layer_local(TEACHER, 99.0, online=True, warmup=2)
BOTH = pytest.mark.parametrize("rule", [OFFLINE, ONLINE], ids=["offline", "online"])


def gradient_of(rule, model=None, variables=None, batch=BATCH):
    model = mlp() if model is None else model
    variables = nn.variables_of(model) if variables is None else variables
    network = nn.training_form(model)
    return jax.jit(lambda variables: rule.gradient(network, LOSS, variables, batch))(variables)


@BOTH
def test_gradients_stop_between_layers(rule):
    """Other labels move the readout alone, and other rates of a layer its own weights alone."""
    expected = gradient_of(rule).grads["layers"]
    labels = gradient_of(rule, batch=Batch(INPUTS, (LABELS + 1) % 3)).grads["layers"]
    differs = jax.tree.map(lambda one, other: not np.array_equal(one, other), expected, labels)
    assert differs == {0: {"kernel": False, "bias": False}, 2: {"kernel": False, "bias": False}} | {
        4: {"kernel": True, "bias": True}
    }
    for layer, place in (("layers.1", 0), ("layers.3", 2)):
        changed = gradient_of(dataclasses.replace(rule, teacher=Reversed(layer))).grads["layers"]
        for index in (0, 2, 4):
            same = jax.tree.map(np.array_equal, expected[index], changed[index])
            assert all(jax.tree.leaves(same)) == (index != place)


class Reversed:
    """The teacher, with the images of one layer's activations in another order."""

    def __init__(self, layer):
        self.layer = layer

    def activations(self, inputs):
        taught = TEACHER.activations(inputs)
        return taught | {self.layer: taught[self.layer][::-1]}


@BOTH
def test_an_earlier_layer_changes_the_later_losses_and_learns_nothing_from_them(rule):
    """Its weights move the readout's loss, by a finite difference; their gradient is that of their own loss."""
    model = mlp()
    variables = nn.variables_of(model)
    moved = jax.tree.map(jnp.copy, variables)
    moved.params["layers"][0]["kernel"] += 0.3
    before, after = gradient_of(rule, variables=variables), gradient_of(rule, variables=moved)
    assert abs(float(before.logits.sum() - after.logits.sum())) > 0.1
    alone = gradient_of(rule, variables=moved, batch=Batch(INPUTS, (LABELS + 1) % 3))
    np.testing.assert_array_equal(after.grads["layers"][0]["kernel"], alone.grads["layers"][0]["kernel"])
    assert not np.array_equal(before.grads["layers"][0]["kernel"], after.grads["layers"][0]["kernel"])


def test_the_online_gradient_is_the_written_formula():
    """2 (n_t / (t + 1) − A) / (N (t + 1)) · box(z_t) ⊗ input_t, in numpy."""
    model, gradient = mlp(), gradient_of(ONLINE)
    network, variables = nn.training_form(model), nn.variables_of(model)
    seen = rollout.record(network, variables, INPUTS)
    logits = np.asarray(rollout.record(network, variables, INPUTS, layers="layers.4")["layers.4"]["output"])
    before = np.broadcast_to(np.asarray(INPUTS), (5, *INPUTS.shape))
    value = 0.0
    for index, path in ((0, "layers.1"), (2, "layers.3")):
        assert np.abs(np.asarray(seen[path]["membrane"]) - 0.6).min() > 1e-5  # no tie that rounding decides
        spikes, box = np.asarray(seen[path]["spikes"]), np.abs(np.asarray(seen[path]["membrane"]) - 0.6) < 0.2
        activations = np.asarray(TEACHER.activations(INPUTS)[path])
        scale = np.sort(activations.ravel())[round(0.99 * (activations.size - 1))]
        rates, kernel = np.clip(activations / scale, 0, 1), np.zeros(variables.params["layers"][index]["kernel"].shape)
        for t in range(2, 5):
            distance = spikes[: t + 1].sum(0) / (t + 1) - rates
            value += np.mean(distance**2)
            kernel += before[t].T @ (2 * distance / (distance.size * (t + 1)) * box[t])
        np.testing.assert_allclose(gradient.grads["layers"][index]["kernel"], kernel, atol=1e-6)
        before = spikes
    value += sum(float(LOSS(jnp.asarray(logits[: t + 1].sum(0) / (t + 1)), LABELS)) for t in range(2, 5))
    np.testing.assert_allclose(gradient.loss, value, rtol=1e-5)
    np.testing.assert_allclose(gradient.logits, logits[2:].sum(0), rtol=1e-5)
    np.testing.assert_array_equal(gradient.learned, [False, False, True, True, True])


def test_at_one_step_online_is_offline():
    one = mlp(num_steps=1)
    offline = gradient_of(learning.layer_local(TEACHER), one)
    online = gradient_of(learning.layer_local(TEACHER, online=True), one)
    assert relative_difference(online.grads, offline.grads) < 1e-6


@BOTH
def test_it_learns_what_the_teacher_and_the_labels_say(rule):
    """Plain gradient descent lowers the loss, which the rule gives as of one step."""
    model = mlp()
    network, learner = nn.training_form(model), learning.Learner(nn.variables_of(model), None)

    def update(grads, opt_state, params, learned):
        return jax.tree.map(lambda param, grad: param - 0.5 * grad, params, grads), opt_state

    step = jax.jit(lambda learner: rule(network, LOSS, update, learner, BATCH, None))
    values = []
    for _ in range(60):
        learner, learned = step(learner)
        values.append(float(learned.loss))
    expected = gradient_of(rule).loss / (3 if rule.online else 1)
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)
    assert values[-1] < 0.7 * values[0]


def temp_bytes(num_steps, **options):
    model = mlp(num_steps=num_steps, widths=(32, 32))
    network, rule = nn.training_form(model), learning.layer_local(teacher(widths=(32, 32)), **options)
    batch = Batch(jnp.zeros((256, 4)), jnp.zeros(256, jnp.int32))
    learn = jax.jit(lambda variables, batch: rule.gradient(network, LOSS, variables, batch))
    compiled = learn.lower(nn.variables_of(model), batch).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_of_the_online_rule_does_not_depend_on_the_number_of_steps():
    online, offline = ({"online": online, "unroll": False} for online in (True, False))
    assert temp_bytes(32, **online) <= 1.05 * temp_bytes(4, **online)
    assert temp_bytes(32, **offline) > 2 * temp_bytes(4, **offline)


@pytest.mark.parametrize(("size", "percentile"), [(7, 50.0), (1000, 99.9), (30, 99.0), (5, 0.0), (5, 100.0)])
def test_rates_are_activations_over_the_nearest_rank(size, percentile):
    activations = np.random.default_rng(0).exponential(size=size).astype(np.float32)
    rates, scale = learning.rates_of(jnp.asarray(activations), percentile)
    assert float(scale) == np.sort(activations)[round(percentile / 100 * (size - 1))]
    np.testing.assert_allclose(rates, np.clip(activations / float(scale), 0, 1), rtol=1e-6)
    np.testing.assert_array_equal(learning.rates_of(jnp.zeros(size), percentile)[0], 0)  # and not 0 / 0


def test_a_teacher_normalises_as_in_inference():
    rngs = nnx.Rngs(0)
    model = nn.Sequential(
        *(nn.Linear(4, 6, rngs=rngs), nn.batch_norm(), nn.relu(), nn.Linear(6, 3, rngs=rngs)),
        num_steps=1,
        input_shape=(4,),
    )
    variables = nn.variables_of(model)
    variables.batch_stats["layers"][1]["mean"] += 0.25
    found = learning.Teacher(model, variables).activations(INPUTS)
    kernel = np.asarray(variables.params["layers"][0]["kernel"])
    expected = np.maximum(0, (np.asarray(INPUTS) @ kernel - 0.25) / np.sqrt(1 + 1e-5))
    np.testing.assert_allclose(found["layers.2"], expected, atol=1e-5)


def of_own_functions():
    network = nn.training_form(mlp())._replace(model=None)
    return OFFLINE.gradient(network, LOSS, nn.variables_of(mlp()), BATCH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: learning.layer_local(None), r"teacher is a NoneType; give learning\.Teacher\(model, variables\)"),
        (
            lambda: learning.layer_local(mlp(nn.relu())),
            r"teacher is a Sequential; give learning\.Teacher\(model, variables\)",
        ),
        (lambda: learning.layer_local(TEACHER, warmup=1), "warmup=1 is for online=True"),
        (lambda: gradient_of(learning.layer_local(TEACHER, online=True, warmup=5)), "warmup=5 of a network of 5 steps"),
        (
            lambda: learning.Teacher(mlp(), nn.variables_of(mlp())),
            r"layers\.1 of the teacher emits spikes; build it wi",
        ),
        (
            lambda: gradient_of(learning.layer_local(teacher(widths=(6,)))),
            r"layers\.3 of the network is no layer of neurons of the teacher; build both alike",
        ),
        (
            lambda: gradient_of(learning.layer_local(teacher(widths=(6, 4)))),
            r"layers\.3 gives \(5, 5\) and the teacher's \(5, 4\); build both alike",
        ),
        (
            lambda: gradient_of(OFFLINE, batch=Batch(jnp.zeros((5, 5, 4)), LABELS)),
            "compares mean spikes with a teacher's activations of one image, not of frames",
        ),
        (
            lambda: gradient_of(OFFLINE, mlp(nn.lif(height=2.74))),
            r"layers\.1 sends spikes of height 2\.74, and rates are",
        ),
        (lambda: gradient_of(OFFLINE, mlp(nn.lif(threshold=0.6))), r"height 0\.6, .*; use nn\.lif\(height=1\.0\)"),
        (lambda: learning.traced(ONLINE), "has no gradient between layers for a trace to go with"),
        (lambda: of_own_functions(), "a network of functions of your own has no layers to cut"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_a_line(make, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
