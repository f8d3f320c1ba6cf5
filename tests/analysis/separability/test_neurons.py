import jax
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.analysis.separability import neuron_figures, spatial_alignment
from hdlif_jax.neurons import NeuronParams, hd_lif
from hdlif_jax.quantize import SpikeQuantizer
from tests.analysis.own import sequential
from tests.conftest import small_network


def test_hd_lif_has_a_handful_of_values_and_lif_has_not():
    lif = neuron_figures(small_network(neuron="lif", num_steps=3), "blocks.0.neuron1")[0]
    hybrid, sample = neuron_figures(small_network(num_steps=3), "blocks.0.neuron1")
    assert hybrid["distinct_epsilon_values"] == 4  # 0, 1/4, 1/2 and 1
    assert lif["distinct_epsilon_values"] > 100
    assert hybrid["separability_index"] < lif["separability_index"]
    assert hybrid["theorem_worst_deviation"] < 1e-5 < 0.1 < lif["theorem_worst_deviation"]
    assert hybrid["theorem_worst_deviation"] == max(hybrid["theorem_deviation"].values())
    assert hybrid["online_error"]["firing"] == 0 < lif["online_error"]["firing"]
    assert sample.spikes.shape == (3, 1024, 4)


def test_alignment_is_that_of_the_quantised_spikes_within_half_a_level():
    figures, _ = neuron_figures(small_network(num_steps=2, spike_scale=0.5, spike_bits=2), "blocks.0.neuron1", seed=5)
    alignment = figures["spatial_alignment"]
    assert alignment["radius"] == 0.25
    membranes = jax.random.normal(jax.random.key(5), (2, 1024, 4))[0]

    def quantized(params, potential, current):
        return hd_lif.step(params, potential, current, quantize=SpikeQuantizer(0.5, 2))

    half = NeuronParams(np.float32(0.5), np.float32(0.5))
    expected = spatial_alignment(quantized, half, membranes, radius=0.25)
    np.testing.assert_allclose(alignment["cosine"], expected.cosine, rtol=1e-6)
    np.testing.assert_allclose(alignment["relative_error"], expected.relative_error, rtol=1e-6)
    binary, _ = neuron_figures(small_network(num_steps=2, neuron="lif"), "blocks.0.neuron1")
    assert binary["spatial_alignment"]["radius"] == 0.125


def test_neurons_that_influence_each_other_are_refused():
    class Crowd(nn.LIFCell):
        def advance(self, state, x, tick):
            return super().advance(state, x - x.mean(-1, keepdims=True), tick)

    with pytest.raises(TypeError, match="neurons influence each other"):
        neuron_figures(sequential(neuron=Crowd()), "layers.1")
    with pytest.raises(ValueError, match=r"T ≥ 2"):
        neuron_figures(sequential(num_steps=1), "layers.1")
