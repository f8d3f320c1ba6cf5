"""What a cell of one's own may be: any pytree as state, any start, and an integer among its arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn, rollout
from hdlif_jax.nn import Tick
from hdlif_jax.quantize import SpikeQuantizer
from tests.conftest import cross_entropy
from tests.nn.own import LearnedStartCell, RefractoryCell, features, step_by_step, synaptic

X = jax.random.normal(jax.random.key(0), (7, 5))
BATCH = learning.Batch(X, jnp.arange(7) % 3)


def synaptic_network():
    return features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), synaptic(0.6))


def test_init_state_has_the_cell_s_own_start():
    model = synaptic_network()
    state = nn.init_state(nn.training_form(model), nn.variables_of(model), 3)
    jax.tree.map(
        np.testing.assert_array_equal,
        state,
        ({"current": np.zeros((3, 6)), "potential": np.full((3, 6), 0.6, np.float32)},),
    )


def test_a_start_that_is_not_zero_is_where_every_loop_starts():
    """Inference, step by step and layer by layer, against the neuron by numpy."""
    model = synaptic_network()
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    drive = np.asarray(X, np.float64) @ np.asarray(model.layers[0].kernel[...], np.float64)
    current, potential, expected = np.zeros((7, 6)), np.full((7, 6), 0.6), []
    for _ in range(4):
        current = 0.5 * current + drive
        membrane = 0.75 * potential + current
        spikes = (membrane >= 1).astype(np.float64)
        potential = membrane - spikes
        expected.append(spikes)
    assert 0.05 < np.mean(expected) < 0.95
    _, records = rollout.rollout_spikes(network, variables, X)
    for spikes in (
        records["layers.1"],
        network.sequence(*variables, X).records["layers.1"],
        step_by_step(network, variables, X).records["layers.1"],
    ):
        np.testing.assert_array_equal(spikes, expected)


@pytest.mark.parametrize(
    "rule",
    [learning.random_step(), learning.random_k(2), learning.accumulate(), learning.stbp(), learning.stbp(segment=2)],
    ids=repr,
)
def test_every_rule_starts_there_too(rule, key):
    """With the start moved, the loss of a single step moves; with it zero, it is the one of zeros."""
    losses = []
    for first in (0.0, 0.9):
        model = features(synaptic(first), nn.Linear(5, 6, rngs=nnx.Rngs(0)), num_steps=2)
        network, variables = nn.training_form(model), nn.variables_of(model)
        got = rule.gradient(network, cross_entropy, variables, BATCH, key)
        logits = step_by_step(network, variables, X).logits
        expected = sum(cross_entropy(logits[t], BATCH.labels) for t in np.flatnonzero(got.learned))
        np.testing.assert_allclose(got.loss, expected, rtol=1e-5)
        losses.append(got.loss)
    assert not np.allclose(*losses)


def test_rules_agree_on_a_state_that_is_a_dict():
    model = synaptic_network()
    network, variables = nn.training_form(model), nn.variables_of(model)
    full, oracle, online, in_twos, layerwise = (
        rule.gradient(network, cross_entropy, variables, BATCH).grads
        for rule in (
            learning.stbp(),
            learning.stbp(detach=True),
            learning.accumulate(),
            learning.stbp(segment=2),
            learning.stbp(layerwise=True),
        )
    )
    close = {"rtol": 1e-4, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), online, oracle)
    for other in (in_twos, layerwise):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), other, full)
    assert not np.allclose(full["layers"][0]["kernel"], online["layers"][0]["kernel"], rtol=0.01)


@pytest.mark.parametrize("rule", [learning.stbp(), learning.stbp(segment=2), learning.stbp(layerwise=True)], ids=repr)
def test_a_learned_start_has_its_gradient_through_time(rule):
    """That of an explicit loop which begins with a missing state."""
    cell = LearnedStartCell(4, SpikeQuantizer(softness=None))
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), cell)
    network, variables = nn.training_form(model), nn.variables_of(model)

    def total(params):
        logits = step_by_step(network, variables._replace(params=params), X).logits
        return sum(cross_entropy(step_logits, BATCH.labels) for step_logits in logits)

    expected = jax.grad(total)(variables.params)["layers"][1]["first"]
    assert expected != 0
    got = rule.gradient(network, cross_entropy, variables, BATCH).grads
    np.testing.assert_allclose(got["layers"][1]["first"], expected, rtol=1e-4)


@pytest.mark.parametrize("rule", [learning.random_step(), learning.accumulate(), learning.stbp(detach=True)], ids=repr)
def test_a_learned_start_is_a_constant_to_single_steps(rule, key):
    model = features(LearnedStartCell(4, SpikeQuantizer()), nn.Linear(5, 6, rngs=nnx.Rngs(0)))
    network, variables = nn.training_form(model), nn.variables_of(model)
    got = rule.gradient(network, cross_entropy, variables, BATCH, key)
    assert got.grads["layers"][0]["first"] == 0


@pytest.mark.parametrize(
    "rule",
    [
        learning.random_step(),
        learning.random_k(2),
        learning.accumulate(unroll=False),
        learning.accumulate(unroll=True),
        learning.stbp(),
        learning.stbp(segment=2),
        learning.stbp(segment=2, unroll=False),
        learning.stbp(layerwise=True),
    ],
    ids=repr,
)
def test_a_state_may_hold_integers(rule, key):
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), RefractoryCell())
    network, variables = nn.training_form(model), nn.variables_of(model)
    got = rule.gradient(network, cross_entropy, variables, BATCH, key)
    logits = step_by_step(network, variables, X).logits
    learned = np.flatnonzero(got.learned)
    np.testing.assert_allclose(got.logits, sum(logits[t] for t in learned), atol=1e-5)
    if isinstance(rule, learning.stbp):

        def total(params):
            logits = step_by_step(network, variables._replace(params=params), X).logits
            return sum(cross_entropy(step_logits, BATCH.labels) for step_logits in logits)

        expected = jax.grad(total)(variables.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got.grads, expected)


def test_a_cell_without_advance_says_what_to_write():
    class Empty(nn.Cell):
        pass

    with pytest.raises(TypeError, match=r"Empty has no advance\(state, x, tick\) -> \(state, y\); write it"):
        Empty()(None, X, Tick(0))


def test_a_cell_is_found_wherever_it_stands():
    """In a list in a module in a network: its records and offsets are by its path."""

    class Both(nn.Stateful):
        def __init__(self):
            self.cells = nnx.List([nn.lif()(2, 5), nn.lif()(2, 5)])

        def __call__(self, state, x, tick):
            carry = nn.Carry(state, tick)
            outputs = [carry(cell, x) for cell in self.cells]
            return carry.state, outputs[0] - outputs[1]

    model = features(Both(), nn.Linear(5, 6, rngs=nnx.Rngs(0)), num_steps=2)
    network, variables = nn.training_form(model, record=True), nn.variables_of(model)
    plain = network.step(*variables, None, X, Tick(0))
    assert list(plain.records) == ["layers.0.cells.0", "layers.0.cells.1"]
    assert len(plain.state[0]) == 2
    np.testing.assert_array_equal(plain.logits, np.zeros((7, 3)))  # the two cells agree
    moved = network.step(*variables, None, X, Tick(0), {"layers.0.cells.1": jnp.full((7, 5), 5.0)})
    assert np.any(moved.records["layers.0.cells.1"] != plain.records["layers.0.cells.1"])
    np.testing.assert_array_equal(moved.records["layers.0.cells.0"], plain.records["layers.0.cells.0"])


@pytest.mark.parametrize("missing", ["emits", "operations"])
def test_a_neuron_that_does_not_declare_itself_says_what_to_set(missing):
    declared = {"emits": nn.BINARY, "operations": 3}
    kind = type("Bare", (nn.NeuronCell,), {name: value for name, value in declared.items() if name != missing})
    with pytest.raises(TypeError, match=rf"Bare does not say its {missing}; set {missing} = "):
        getattr(kind(), missing)
    assert not hasattr(kind(), missing)


def test_a_setting_lies_among_the_statistics_and_no_step_moves_it():
    class Shifted(nn.Module):
        def __init__(self):
            self.shift = nn.Setting(jnp.float32(0.5))

        def __call__(self, x):
            return x + self.shift[...]

    layers = Shifted(), nn.hd_lif(), nn.Linear(3, 2, rngs=nnx.Rngs(0))
    model = nn.Sequential(*layers, num_steps=2, input_shape=(3,))
    variables, network = nn.variables_of(model), nn.training_form(model)
    assert variables.batch_stats == {"layers": {0: {"shift": 0.5}}}
    output = jax.jit(network.sequence)(*variables, jnp.ones((4, 3)))  # which asks other statistics for over_time
    assert output.batch_stats == variables.batch_stats
