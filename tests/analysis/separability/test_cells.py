import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.analysis.separability import (
    cell_at,
    first_layer,
    neuron_of,
    spatial_alignment,
    temporal_contributions,
    theorem_deviation,
)
from hdlif_jax.neurons import NeuronParams, hd_lif, lif, parallel
from tests.analysis.own import AdaptiveLIFCell, convolutional, sequential
from tests.conftest import perturbed, small_network

STEPS, CHANNELS = 4, 3


def learned(factory):
    """A cell whose parameters and statistics are not the initial ones."""
    cell = factory(STEPS, CHANNELS)
    state = nnx.state(cell, (nnx.Param, nnx.BatchStat))
    nnx.update(cell, perturbed(state, scale=0.1))
    return cell


def contributions_of(neuron, currents):
    currents = neuron.currents(currents)
    return temporal_contributions(neuron.step, neuron.params, currents, state=neuron.start(currents[0]))


@pytest.fixture
def currents():
    return jax.random.normal(jax.random.key(1), (STEPS, 50, CHANNELS))


def test_neurons_of_a_cell_are_those_of_the_pure_dynamics_with_its_parameters(currents):
    cell = learned(nn.hd_lif())
    params = NeuronParams(*(jax.nn.sigmoid(raw[...])[:, None, None] for raw in (cell.raw_decay, cell.raw_threshold)))
    expected = temporal_contributions(hd_lif.step, params, currents)
    actual = contributions_of(neuron_of(cell, STEPS), currents)
    np.testing.assert_array_equal(actual.weights, expected.weights)
    np.testing.assert_array_equal(actual.spikes, expected.spikes)  # as without its quantiser

    cell = learned(nn.lif())
    params = NeuronParams(jax.nn.sigmoid(cell.raw_decay[...]), cell.threshold[...])
    expected = temporal_contributions(lif.step, jax.tree.map(lambda leaf: jnp.full(STEPS, leaf), params), currents)
    np.testing.assert_array_equal(contributions_of(neuron_of(cell, STEPS), currents).weights, expected.weights)

    cell = learned(nn.parallel())
    threshold = jax.nn.sigmoid(cell.raw_threshold[...])
    expected = temporal_contributions(parallel.step, threshold, currents)
    np.testing.assert_array_equal(contributions_of(neuron_of(cell, STEPS), currents).weights, expected.weights)


@pytest.mark.parametrize("factory", [nn.hd_lif(), nn.parallel(), nn.mem_bn()])
def test_theorem_holds_for_the_neurons_of_every_hd_lif_cell(factory, currents):
    neuron = neuron_of(learned(factory), STEPS)
    assert theorem_deviation(contributions_of(neuron, currents).weights, neuron.decay).worst < 1e-5


def test_leaks_by_hand():
    cell = nn.mem_bn()(STEPS, CHANNELS)  # α = β = λ = 1/2, γ = 1, σ² = 1, b = μ = 0: λ̂ = (1/2 + 1/2) λ up to ε
    neuron = neuron_of(cell, STEPS)
    np.testing.assert_allclose(neuron.decay, np.full((STEPS, 1, CHANNELS), 0.5), rtol=1e-5)
    np.testing.assert_array_equal(neuron_of(nn.parallel()(STEPS, 1), STEPS).decay, np.zeros(STEPS))
    np.testing.assert_array_equal(neuron_of(nn.lif(decay=0.25)(STEPS, 1), STEPS).decay, np.full(STEPS, 0.25))
    assert neuron_of(AdaptiveLIFCell(), STEPS).decay is None


def test_a_cell_may_say_its_leak():
    class Leaky(AdaptiveLIFCell):
        def decay_at(self, t):
            return jnp.full(CHANNELS, 0.1 * t)

    expected = np.float32(0.1) * np.arange(STEPS, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(neuron_of(Leaky(), STEPS).decay, np.broadcast_to(expected, (STEPS, 1, CHANNELS)))


def test_folded_mem_bn_spikes_as_its_cell_does(currents):
    cell = learned(nn.mem_bn())
    neuron = neuron_of(cell, STEPS, quantized=True)
    actual, (state, expected) = contributions_of(neuron, currents).spikes, (None, [])
    for t in range(STEPS):
        state, spikes = cell(state, currents[t], nn.Tick(t))
        expected.append(spikes)
    near = np.abs(np.asarray(actual) - np.stack(expected)) < 1e-5
    assert np.mean(near) > 0.99  # rounding may move a spike to the next level
    assert np.any(actual)


def test_a_mem_bn_of_another_kind_is_taken_as_it_is(currents):
    class Doubled(nn.MemBNHDLIFCell):
        def advance(self, state, x, tick):
            return super().advance(state, 2 * x, tick)

    plain = nn.mem_bn()(STEPS, CHANNELS)
    neuron = neuron_of(Doubled(STEPS, CHANNELS, plain.quantize), STEPS)
    assert neuron.decay is None
    np.testing.assert_array_equal(neuron.currents(currents), currents)
    assert np.max(contributions_of(neuron, currents).weights) > 1.5  # ∂s/∂I, twice that of the membrane


def test_own_neurons_by_hand():
    # ds/dm = 1 − |m − θ|, θ = 1 + 0.3 a. m_1 = 0.6: ds/dm = 0.6, dv/dm = 0.4, da/dm = 0.6. m_2 = 1.3: ds/dm = 0.7.
    neuron = neuron_of(AdaptiveLIFCell(), 2)
    weights = contributions_of(neuron, jnp.array([0.6, 1.0]).reshape(2, 1, 1)).weights[:, :, 0, 0]
    np.testing.assert_allclose(weights, [[0.6, 0], [0.7 * (0.5 * 0.4 - 0.3 * 0.6), 0.7]], rtol=1e-4)


def test_own_neurons_are_aligned_as_others():
    neuron = neuron_of(AdaptiveLIFCell(), 2, quantized=True)
    membranes = jnp.array([[0.5, 0.9, 1.05, 1.6]])
    result = spatial_alignment(neuron.step, 0, membranes, state=neuron.start(membranes), radius=0.125)
    np.testing.assert_allclose(result.response, [[0, 4, 4, 0]])
    np.testing.assert_allclose(result.derivative, [[0.5, 0.9, 0.95, 0.4]], rtol=1e-6)


def test_layers_are_found_in_the_order_in_which_they_run():
    model = small_network()
    assert first_layer(model) == "blocks.0.neuron1"
    assert first_layer(model, nn.ParallelHDLIFCell) == "blocks.0.neuron2"
    assert first_layer(sequential()) == "layers.1"
    assert cell_at(model, "blocks.1.neuron2") is model.blocks[1].neuron2
    with pytest.raises(ValueError, match=r"'blocks\.0\.conv1' is no layer of neurons .*has blocks\.0\.neuron1, blocks"):
        cell_at(model, "blocks.0.conv1")
    with pytest.raises(ValueError, match=r"has no LIFCell; its layers of neurons are blocks\.0\.neuron1"):
        first_layer(convolutional(), nn.LIFCell)
