import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn, rollout
from hdlif_jax.nn import Tick
from tests.conftest import perturbed, small_network


@pytest.mark.parametrize("kind", ["images", "events"])
@pytest.mark.parametrize("options", [{"neuron": "mem-bn", "attention": "seca-1"}, {"weights": "binary"}])
def test_rollout_equals_a_python_loop_over_the_module(kind, options, request):
    inputs = request.getfixturevalue(kind)
    model = small_network(**options)
    variables = perturbed(nn.variables_of(model), scale=0.05)
    logits = jax.jit(lambda variables: rollout.rollout(nn.inference_form(model), variables, inputs))(variables)

    network = nn.inference_form(model)
    params = network.quantize(variables.params)
    state, expected = None, []
    for t in range(4):
        current, _ = network.encode(params, variables.batch_stats, inputs if kind == "images" else inputs[t])
        output = network.step(params, variables.batch_stats, state, current, Tick(t))
        state = output.state
        expected.append(output.logits)
    np.testing.assert_allclose(logits, jnp.stack(expected), atol=1e-4)


def test_firing_rates_are_the_means_of_the_recorded_spikes(images):
    model = small_network()
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    rates = rollout.firing_rates(network, variables, images)
    logits, spikes = rollout.rollout_spikes(network, variables, images)
    assert logits.shape == (4, 8, 3)
    assert rates.keys() == spikes.keys()
    for layer, rate in rates.items():
        assert spikes[layer].shape[:2] == (4, 8)
        np.testing.assert_allclose(rate, np.mean(np.asarray(spikes[layer]) > 0), rtol=1e-6)


def test_spikes_lie_on_the_quantiser_s_grid(images):
    model = small_network(spike_bits=2, spike_scale=0.5)
    _, spikes = rollout.rollout_spikes(nn.inference_form(model, record=True), nn.variables_of(model), images)
    for values in spikes.values():
        assert np.isin(values, [0, 0.5, 1.0, 1.5]).all()


def test_accuracy_sums_the_logits_of_the_steps_so_far():
    logits = jnp.float32([[[1, 0], [0, 1]], [[0, 3], [0, 1]]])
    np.testing.assert_array_equal(rollout.accuracy_per_step(logits, jnp.array([0, 1])), [2, 1])
    np.testing.assert_array_equal(rollout.accuracy_per_step(logits, jnp.array([-1, 1])), [1, 1])
