"""What spikes are in bfloat16: exact, or the reset takes off what was rounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, rollout
from hdlif_jax.quantize import SpikeQuantizer

X = 2 * jax.random.normal(jax.random.key(0), (4, 4, 4, 2))


def network_of(neuron):
    layers = nn.Conv(2, 3, rngs=nnx.Rngs(0)), neuron, nn.Flatten(), nn.Linear(48, 2, rngs=nnx.Rngs(1))
    return nn.Sequential(*layers, num_steps=3, input_shape=(4, 4, 2))


def seen_in(dtype, neuron):
    model = network_of(neuron)
    network = nn.training_form(model, dtype=dtype, integer=False)
    what = ("current", "membrane", "state", "spikes")
    return rollout.record(network, nn.variables_of(model), X, what=what)["layers.1"]


@pytest.mark.parametrize("learned", [True, False])
def test_the_reset_of_a_lif_takes_off_what_its_spike_carries(learned):
    """θ = 1.003 lies between 1 and 1.0078 of bfloat16."""
    for dtype, threshold in (("bfloat16", 1.0), ("float32", np.float32(1.003))):
        seen = seen_in(dtype, nn.lif(threshold=1.003, learn_threshold=learned))
        spikes = np.asarray(seen["spikes"], np.float32)
        assert seen["spikes"].dtype == seen["current"].dtype == dtype
        assert set(np.unique(spikes)) == {0, threshold}
        np.testing.assert_array_equal(seen["state"], seen["membrane"] - spikes)
        np.testing.assert_array_equal(spikes > 0, seen["membrane"] >= threshold)


def test_the_threshold_still_learns():
    model = network_of(nn.lif(threshold=1.003))
    batch = learning.Batch(X, jnp.arange(4) % 2)

    def gradient(dtype):
        network = nn.training_form(model, dtype=dtype, integer=False)
        rule = learning.accumulate(unroll=False)
        learn = jax.jit(lambda variables: rule.gradient(network, losses.cross_entropy(), variables, batch))
        return learn(nn.variables_of(model)).grads["layers"][1]["threshold"]

    np.testing.assert_allclose(gradient("bfloat16"), gradient("float32"), rtol=0.1)


@pytest.mark.parametrize("neuron", [nn.hd_lif(bits=8, scale=2.0**-5), nn.parallel(bits=4), nn.adaptive_lif()], ids=str)
def test_levels_of_a_power_of_two_and_spikes_of_one_are_exact(neuron):
    spikes = np.asarray(seen_in("bfloat16", neuron)["spikes"], np.float32)
    levels = spikes / np.float32(getattr(neuron, "scale", 1.0))
    assert levels.max() > 0
    np.testing.assert_array_equal(levels, np.round(levels))


@pytest.mark.parametrize("scale", [0.3, 0.1, 1 / 3, 0.25])
def test_other_levels_are_rounded_by_so_much_and_are_found_again_by_integer_layers(scale):
    quantizer = SpikeQuantizer(scale, 7)  # as many as int8 holds
    spikes = quantizer(jnp.float32(scale) * jnp.arange(128, dtype=jnp.float32))
    flowing = spikes.astype(jnp.bfloat16).astype(jnp.float32)
    assert jnp.all(jnp.abs(flowing - spikes) <= 2.0**-8 * spikes)
    assert jnp.all(flowing == spikes) == (scale == 0.25)
    unit = nn.SpikeInput(quantizer).unit
    np.testing.assert_array_equal(jnp.round(flowing * (1 / unit)), jnp.arange(128))
