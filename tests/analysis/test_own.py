import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, learning, nn, rollout
from hdlif_jax.analysis.counting import make_counter
from hdlif_jax.analysis.separability import make_comparison, neuron_figures
from hdlif_jax.learning import Batch
from tests.analysis.own import AdaptiveLIFCell, convolutional, inputs_of, sequential
from tests.conftest import cross_entropy

networks = pytest.mark.parametrize("build", [sequential, convolutional])


@networks
def test_costs_of_own_neurons_are_those_that_they_declare(build):
    model = build()
    costs = analysis.measure(model, [inputs_of(model)])
    assert all(row.nops == 5 * row.neurons * model.num_steps for row in costs.neurons)
    reading_spikes = [row.path for row in costs.synapses if row.reads == "spikes"]
    assert reading_spikes == (["layers.2"] if build is sequential else ["blocks.0.conv1", "blocks.0.conv2"])
    _, records = rollout.rollout_spikes(nn.inference_form(model, record=True), nn.variables_of(model), inputs_of(model))
    for row in costs.neurons:
        assert 0 < row.firing_rate < 1
        np.testing.assert_allclose(row.firing_rate, np.mean(np.asarray(records[row.path]) != 0), rtol=1e-6)


@networks
def test_gradients_of_own_neurons_are_compared(build):
    model = build()
    network, variables = nn.training_form(model, record=True), nn.variables_of(model)
    batch = Batch(inputs_of(model), jnp.arange(6) % 3)
    result = make_comparison(network, cross_entropy, unroll=False)(variables, batch)
    cells = {"layers.1"} if build is sequential else {"blocks.0.neuron1", "blocks.0.neuron2"}
    assert set(result.membrane) == cells
    assert all(f"{cell}.rise" in result.parameters for cell in cells)
    assert 0 < result.network.accumulate.cosine < 1
    online, stbp = (
        rule.gradient(network, cross_entropy, variables, batch).grads
        for rule in (learning.accumulate(unroll=False), learning.stbp(unroll=False))
    )
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(grads)]) for grads in (online, stbp)]
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    np.testing.assert_allclose(result.network.accumulate.cosine, cosine, rtol=1e-4)


@networks
def test_own_neurons_have_figures_but_no_theorem(build):
    model = build()
    path = "layers.1" if build is sequential else "blocks.0.neuron1"
    figures, sample = neuron_figures(model, path)
    channels = 8 if build is sequential else 4
    assert sample.weights.shape == (3, 3, 4096 // channels, channels)
    assert figures["theorem_deviation"] is figures["theorem_worst_deviation"] is None
    assert 0 < figures["separability_index"] < 1
    assert figures["distinct_epsilon_values"] > 100


def test_a_sequence_starts_from_the_state_of_the_cell():
    """A cell that starts above its threshold fires at once where one that starts from rest does not."""

    class Charged(AdaptiveLIFCell):
        def start(self, x):
            return {"potential": jnp.full_like(x, 2.0), "adaptation": jnp.zeros_like(x)}

    model = sequential(num_steps=1, neuron=Charged())
    counts = make_counter(model)(jnp.zeros((2, 5)))
    np.testing.assert_array_equal(counts.fired["layers.1"], [8, 8])
    assert not np.any(make_counter(sequential(num_steps=1))(jnp.zeros((2, 5))).fired["layers.1"])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("operations", r"layers\.1 \(Undeclared\) declares no operations; give its class .*operations = 3"),
        ("emits", r"layers\.1 \(Undeclared\) declares no emits; give its class .*emits = nn\.BINARY"),
    ],
)
def test_neurons_that_do_not_say_what_they_cost_are_refused_by_name(missing, message):
    class Undeclared(AdaptiveLIFCell):
        pass

    setattr(Undeclared, missing, property())  # raises AttributeError, as a name that is not there
    model = sequential()
    model.layers[1].__class__ = Undeclared
    for function in (analysis.neural_operations, lambda model: analysis.measure(model, [inputs_of(model)])):
        with pytest.raises(TypeError, match=message):
            function(model)


class Mixing(nnx.Module):
    """A layer with kernels of its own, in a list."""

    def __init__(self):
        self.kernels = nnx.List([nnx.Param(jnp.ones((8, 3)))])

    def __call__(self, x):
        return x @ self.kernels[0][...]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            lambda: nnx.LinearGeneral(8, 3, rngs=nnx.Rngs(0)),
            r"layers\.2 \(LinearGeneral\) has a kernel of shape \(8, 3\)",
        ),
        (Mixing, r"layers\.2 \(Mixing\) has a kernels\.0 of shape \(8, 3\)"),
    ],
)
def test_kernels_that_nobody_counts_are_refused_by_name(head, message):
    model = sequential(head=head())
    for function in (
        analysis.parameter_megabytes,
        analysis.neural_operations,
        lambda model: analysis.measure(model, [inputs_of(model)]),
    ):
        with pytest.raises(TypeError, match=message + ".*nobody counts; use nn.Linear or nn.Conv, or derive"):
            function(model)


class PerStepNorm(nnx.Module):
    """A normaliser with a gain for each step and channel, which is no kernel."""

    def __init__(self, channels):
        self.gain = nn.PerStepParam(jnp.ones((3, channels)))

    def __call__(self, x):
        return x * self.gain[0][None, :]


def test_layers_without_kernels_cost_their_parameters_alone():
    rngs = nnx.Rngs(0)
    layers = (nn.Linear(5, 8, rngs=rngs), PerStepNorm(8), nn.lif(), nn.Dropout(0.5), nn.Linear(8, 3, rngs=rngs))
    model = nn.Sequential(*layers, num_steps=3, input_shape=(5,))
    costs = analysis.measure(model, [inputs_of(model)])
    assert [row.path for row in costs.synapses] == ["layers.0", "layers.4"]
    assert [row.path for row in costs.neurons] == ["layers.2"]  # dropout has no neurons
    assert costs.other_bytes == 4 * (3 * 8 + 2)
    assert costs == analysis.measure(model, [inputs_of(model)], batch_statistics=True)  # and drops nothing here


def test_dropout_is_no_layer_of_neurons_in_a_comparison(key):
    rngs = nnx.Rngs(0)
    layers = (nn.Linear(5, 8, rngs=rngs), nn.lif(), nn.Dropout(0.5), nn.Linear(8, 3, rngs=rngs))
    model = nn.Sequential(*layers, num_steps=3, input_shape=(5,))
    compare = make_comparison(nn.training_form(model, record=True), cross_entropy, unroll=False)
    batch = Batch(inputs_of(model), jnp.arange(6) % 3)
    assert set(compare(nn.variables_of(model), batch, key).membrane) == {"layers.1"}
    with pytest.raises(ValueError, match="Dropout draws in training and has no key"):
        compare(nn.variables_of(model), batch)


def test_a_layer_that_runs_twice_counts_twice():
    class Twice(nn.Stateful):
        num_steps, input_shape, num_classes = 2, (5,), 3

        def __init__(self):
            rngs = nnx.Rngs(0)
            self.first = nn.Linear(5, 3, rngs=rngs)
            self.neuron = AdaptiveLIFCell()
            self.head = nn.Linear(3, 3, spikes=nn.BINARY, rngs=rngs)

        def encode(self, x):
            return self.first(x)

        def __call__(self, state, current, tick):
            state, spikes = self.neuron(state, current, tick)
            return state, self.head(spikes) + self.head(spikes)

    costs = analysis.measure(Twice(), [10 * jnp.ones((4, 5))])
    head, neurons = costs.synapses[1], costs.neurons[0]
    assert head.sops == pytest.approx(2 * 3 * neurons.firing_rate * neurons.neurons * 2)
    assert head.input_rate == pytest.approx(neurons.firing_rate)
