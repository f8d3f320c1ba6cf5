"""Traces: the gradient is a plain sum over all pairs of steps, forward nothing changes, and what has none is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, quantize, rollout
from hdlif_jax.learning import Batch, Learner
from hdlif_jax.learning.base import cells_key
from tests.conftest import cross_entropy
from tests.learning.test_online import relative_difference

OTTT, CODE, PAPER = learning.decay_trace(), learning.ratio_trace("code"), learning.ratio_trace("paper")
FIXED = nn.lif(decay=0.6, learn_decay=False, threshold=0.5, learn_threshold=False, height=1.0)
LABELS = jnp.arange(5) % 3
KEY = jax.random.key(3)


def conv_model(*, neuron=FIXED, num_steps=4, dropout=(nn.Dropout(0.3),), pool=nn.AvgPool2x2, weights="float"):
    rngs = nnx.Rngs(0)
    return nn.Sequential(
        *(nn.Conv(2, 3, rngs=rngs), neuron, *dropout, pool(), nn.Conv(3, 4, weights=weights, rngs=rngs), neuron),
        *(nn.Flatten(), nn.Linear(36, 3, rngs=rngs)),
        num_steps=num_steps,
        input_shape=(6, 6, 2),
    )


def frames(model, batch_size=5, scale=2.0):
    return scale * jax.random.normal(jax.random.key(1), (model.num_steps, batch_size, *model.input_shape))


def gradient_of(rule, network, variables, batch, key=KEY):
    return jax.jit(lambda variables: rule.gradient(network, cross_entropy, variables, batch, key))(variables)


@pytest.mark.parametrize("weights", ["float", "standardized"])
def test_the_gradient_is_the_plain_sum_over_all_pairs_of_steps(weights):
    """Of a convolution behind neurons, dropout and pooling, and of the layer of logits, in numpy."""
    model = conv_model(weights=weights)
    network, variables = nn.training_form(model), nn.variables_of(model)
    batch = Batch(frames(model), LABELS)
    got = gradient_of(learning.traced(learning.accumulate(), OTTT), network, variables, batch)

    layers = ["layers.3", "layers.5", "layers.6", "layers.7"]
    seen = rollout.record(network, variables, batch.inputs, layers=layers, key=cells_key(KEY))
    pooled, flat, logits = (np.asarray(seen[path]["output"]) for path in (layers[0], layers[2], layers[3]))
    excess = np.asarray(seen["layers.5"]["membrane"]) - 0.5
    assert 0.05 < np.mean(flat > 0) < 0.6
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    of_logits = (probabilities - np.eye(3)[np.asarray(LABELS)]) / len(LABELS)
    of_spikes = of_logits @ np.asarray(variables.params["layers"][7]["kernel"]).T
    of_currents = of_spikes.reshape(excess.shape) * np.maximum(0, 1 - np.abs(excess))

    head, conv = np.zeros((36, 3)), np.zeros((3, 3, 3, 4))
    padded = np.pad(pooled, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    for t in range(model.num_steps):
        for k in range(t + 1):
            head += 0.6 ** (t - k) * flat[k].T @ of_logits[t]
            for row in range(3):
                for column in range(3):
                    patch = padded[k][:, row : row + 3, column : column + 3]
                    conv[row, column] += 0.6 ** (t - k) * np.einsum("bijc,bijd->cd", patch, of_currents[t])
    grads = got.grads["layers"]
    if weights == "standardized":  # of the kernel and its gain, behind that of what the input is multiplied with
        layer = variables.params["layers"][4]
        conv, gain = jax.vjp(quantize.standardize, layer["kernel"], layer["gain"])[1](jnp.float32(conv))
        np.testing.assert_allclose(grads[4]["gain"], gain, atol=1e-5 * np.abs(gain).max())
    np.testing.assert_allclose(grads[4]["kernel"], conv, atol=1e-5 * np.abs(conv).max())
    np.testing.assert_allclose(grads[7]["kernel"], head, atol=1e-5 * np.abs(head).max())
    np.testing.assert_allclose(grads[7]["bias"], of_logits.sum((0, 1)), atol=1e-6)


def test_without_a_past_a_trace_is_the_spikes_and_later_only_weights_behind_neurons_differ():
    model = conv_model()
    network, variables, batch = nn.training_form(model), nn.variables_of(model), Batch(frames(model), LABELS)
    plain, traced = (
        jax.jit(
            lambda t, network=network: learning.gradient_at_steps(network, cross_entropy, variables, batch, t, key=KEY)
        )
        for network in (network, learning.with_traces(network, OTTT))
    )
    jax.tree.map(np.testing.assert_array_equal, plain(jnp.array([0])), traced(jnp.array([0])))
    plain, traced = plain(jnp.array([3])), traced(jnp.array([3]))
    np.testing.assert_array_equal(plain.loss, traced.loss)
    np.testing.assert_array_equal(plain.logits, traced.logits)
    differs = jax.tree.map(lambda one, other: not np.array_equal(one, other), plain.grads, traced.grads)["layers"]
    assert differs == {0: {"kernel": False}, 4: {"kernel": True}, 7: {"kernel": True, "bias": False}}


def test_ndot_is_ottt_where_the_ratio_is_the_decay():
    """After one spike from a large current nothing comes, so that potentials only decay."""
    model = conv_model(neuron=nn.lif(decay=0.5, learn_decay=False, learn_threshold=False), num_steps=4, dropout=())
    network, variables = nn.training_form(model), nn.variables_of(model)
    cell, first = model.layers[1], jnp.linspace(2.05, 2.95, 6).reshape(1, 6)  # leaves 1…2, half of which is below 1
    found = {}
    for trace in (OTTT, CODE, PAPER):
        state, memory, values = jnp.zeros_like(first), trace.start(first), []
        for t in range(4):
            state, spikes = cell(state, first if t == 0 else jnp.zeros_like(first), nn.Tick(t))
            memory, value = trace.advance(cell, memory, state, spikes, nn.Tick(t))
            values.append(value)
        found[trace] = np.stack(values)
    np.testing.assert_allclose(found[OTTT], found[CODE], rtol=1e-6)
    np.testing.assert_allclose(found[OTTT], found[PAPER], rtol=1e-6)
    np.testing.assert_allclose(found[OTTT][:, 0, 0], [1, 0.5, 0.25, 0.125])
    batch = Batch(frames(model), LABELS)
    ottt, code, paper = (
        gradient_of(learning.traced(trace=trace), network, variables, batch).grads for trace in (OTTT, CODE, PAPER)
    )
    assert relative_difference(code, ottt) > 0.01  # elsewhere they differ, from OTTT and from each other
    assert relative_difference(paper, code) > 0.01


@pytest.mark.parametrize("trace", [OTTT, CODE], ids=["ottt", "ndot"])
def test_updates_of_every_step_sum_to_one_of_all_where_nothing_moves(trace):
    model = conv_model()
    network, variables, batch = nn.training_form(model), nn.variables_of(model), Batch(frames(model), LABELS)

    def collect(grads, total, params, learned):
        return params, jax.tree.map(jnp.add, total, grads)

    zeros = jax.tree.map(jnp.zeros_like, variables.params)
    rule = learning.traced(learning.every_step(), trace)
    learner, learned = jax.jit(lambda v: rule(network, cross_entropy, collect, Learner(v, zeros), batch, KEY))(
        variables
    )
    expected = gradient_of(learning.traced(trace=trace), network, variables, batch)
    assert relative_difference(learner.opt_state, expected.grads) < 1e-5
    assert rule.updates_per_batch(6) == 6
    assert learned.steps.all()


def test_layers_that_compute_in_integers_learn_from_traces_on_no_grid():
    """A trace of 0.6 levels, or of more than 127, is not rounded to a level."""
    model = conv_model(neuron=nn.hd_lif(bits=4), dropout=(), weights="ternary")
    variables, batch = nn.variables_of(model), Batch(frames(model), LABELS)
    integer, floating = (
        gradient_of(learning.traced(), nn.training_form(model, integer=integer), variables, batch)
        for integer in (True, False)
    )
    assert relative_difference(integer.grads, floating.grads) < 1e-5


def test_in_bfloat16_traces_stay_in_float32():
    model = conv_model()
    variables, batch = nn.variables_of(model), Batch(frames(model), LABELS)
    low, full = (nn.training_form(model, dtype=dtype) for dtype in (jnp.bfloat16, jnp.float32))
    state = nn.init_state(learning.with_traces(low, CODE), variables, 5)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32"}
    got, expected = (gradient_of(learning.traced(), network, variables, batch) for network in (low, full))
    assert relative_difference(got.grads["layers"][7], expected.grads["layers"][7]) < 0.3
    assert jax.tree.leaves(got.grads)[0].dtype == jnp.float32


def test_in_bfloat16_a_ratio_knows_a_spike_of_any_height():
    """2.74 is none of its numbers, and what of a spike is taken off is θ all the same."""

    def memory(height, dtype):
        neuron = nn.lif(decay=0.5, learn_decay=False, learn_threshold=False, height=height)
        model = conv_model(neuron=neuron, dropout=())
        network, variables = learning.with_traces(nn.training_form(model, dtype=dtype), CODE), nn.variables_of(model)
        inputs, state = frames(model), None
        for t in range(model.num_steps):
            current, stats = network.encode(variables.params, variables.batch_stats, inputs[t])
            state = network.step(variables.params, stats, state, current, nn.Tick(t)).state
        return state[1]["layers.1"]  # of the first neurons, whose currents are the same

    for dtype in (jnp.float32, jnp.bfloat16):
        one, other = memory(1.0, dtype), memory(2.74, dtype)
        np.testing.assert_array_equal(one.potential, other.potential)
        np.testing.assert_array_equal(one.ratio, other.ratio)
        np.testing.assert_allclose(2.74 * one.trace, other.trace, rtol=5e-3)


def temp_bytes(rule, num_steps):
    model = conv_model(num_steps=num_steps, dropout=())
    network, variables = nn.training_form(model), nn.variables_of(model)
    batch = Batch(jnp.zeros((32, 6, 6, 2)), jnp.zeros(32, jnp.int32))
    compiled = jax.jit(lambda v: rule.gradient(network, cross_entropy, v, batch)).lower(variables).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("trace", [OTTT, CODE, PAPER], ids=["ottt", "ndot", "ndot-paper"])
def test_memory_does_not_depend_on_the_number_of_steps(trace):
    rule = learning.traced(learning.accumulate(unroll=False), trace)
    assert temp_bytes(rule, 32) <= 1.05 * temp_bytes(rule, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: learning.traced(learning.stbp()), "stbp(.*) goes back through all time-steps, for which a trace"),
        (lambda: learning.traced(learning.accumulate), "rule=accumulate is not called yet; write accumulate()"),
        (lambda: learning.traced(trace=learning.decay_trace), "trace=decay_trace is not called yet; write decay_trace"),
        (lambda: form_with(trace=0.5), "trace=0.5 is none; give one such as learning.decay_trace"),
        (lambda: form_with(nn.relu()), r"layers\.1: ReLUCell says no leak λ"),
        (lambda: form_with(nn.adaptive_lif()), r"layers\.1: AdaptiveLIFCell says no leak λ"),
        (lambda: form_with(nn.mem_bn()), r"layers\.1: MemBNHDLIFCell says no leak λ"),
        (lambda: form_with(nn.lif(reset="hard"), CODE), r"layers\.1: reset='hard' has no ratio of potentials"),
        (lambda: form_with(nn.lif(order="charge-reset-fire"), CODE), r"layers\.1: order='charge-reset-fire' has no"),
        (lambda: form_with(nn.lif(order="fire-charge"), CODE), r"layers\.1: order='fire-charge' fires on what the"),
        (lambda: form_with(nn.lif(order="fire-charge")), r"a constant to an online rule, so that no weights before it"),
        (lambda: form_with(nn.hd_lif(), PAPER), r"layers\.1: HDLIFCell has no ratio of potentials"),
        (lambda: form_with(dropout=(nn.Dropout(0.5, "step"),)), r"layers\.2: drops others at every step"),
        (lambda: learns_with(pool=MaxPool), r"layers\.4 reads spikes whose trace got lost on the way"),
        (lambda: learns_with(pool=Squared), r"layers\.4 reads spikes whose trace got lost on the way"),
        (lambda: learns_with(dropout=(nn.batch_norm(), nn.Dropout(0.3))), r"layers\.5 reads spikes whose trace got"),
        (lambda: learns_with(dropout=(Weighed(),)), r"layers\.2 is a Weighed that learns from spikes, and a trace"),
        (
            lambda: form_with()._replace(model=None) and learning.with_traces(form_with(), OTTT),
            "a network of functions",
        ),
        (lambda: form_with().sequence({}, {}, None), "runs step by step alone"),
    ],
)
def test_what_has_no_trace_is_refused_in_a_line(make, message):
    with pytest.raises(
        (TypeError, ValueError), match=message.replace("(.*)", r"\(.*\)").replace("e()", r"e\(\)")
    ) as caught:
        make()
    assert "\n" not in str(caught.value)


class MaxPool(nn.MaxPool3x3):
    """A maximum of spikes, whose trace is none of a maximum."""


class Squared(nn.Module):
    """Nothing says what layers behind it read."""

    def __call__(self, x):
        return (x**2)[:, ::2, ::2]


class Weighed(nn.Module):
    """Another library's layer, say."""

    def __init__(self):
        self.weight = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        return self.weight[...] * x


def form_with(neuron=FIXED, trace=OTTT, dropout=()):
    return learning.with_traces(nn.training_form(conv_model(neuron=neuron, dropout=dropout)), trace)


def learns_with(**options):
    model = conv_model(**options)
    batch = Batch(frames(model), LABELS)
    return learning.traced().gradient(
        nn.training_form(model), losses.cross_entropy(), nn.variables_of(model), batch, KEY
    )


class Doubled(nn.Stateful):
    """A network that scales its spikes in code of its own, or by a layer."""

    num_steps, input_shape, num_classes = 3, (4,), 3

    def __init__(self, by_layer):
        rngs = nnx.Rngs(0)
        self.stem, self.neuron = nn.Linear(4, 6, rngs=rngs), FIXED(3, 6)
        self.head = nn.Linear(6, 3, spikes=self.neuron.emits, rngs=rngs)
        self.twice = Twice() if by_layer else None

    def encode(self, x):
        return self.stem(x)

    def __call__(self, state, current, tick):
        carry = nn.Carry(state, tick)
        spikes = carry(self.neuron, current)
        return carry.state, self.head(2 * spikes if self.twice is None else self.twice(spikes))


class Twice(nn.Module):
    def __call__(self, x):
        return 2 * x


def test_linear_layers_of_ones_own_pass_traces_and_code_of_ones_own_loses_them():
    batch = Batch(2 * jax.random.normal(jax.random.key(1), (5, 4)), LABELS)
    model = Doubled(by_layer=True)
    grads = gradient_of(learning.traced(), nn.training_form(model), nn.variables_of(model), batch).grads
    plain = gradient_of(learning.accumulate(), nn.training_form(model), nn.variables_of(model), batch).grads
    assert relative_difference(grads["head"], plain["head"]) > 0.1
    model = Doubled(by_layer=False)
    with pytest.raises(ValueError, match="head reads spikes whose trace got lost on the way"):
        gradient_of(learning.traced(), nn.training_form(model), nn.variables_of(model), batch)
