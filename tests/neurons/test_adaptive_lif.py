import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import deploy, nn, rollout
from hdlif_jax.neurons import adaptive_lif, lif
from hdlif_jax.neurons.base import NeuronParams

CURRENTS = 2 * jax.random.normal(jax.random.key(0), (6, 40))
PARAMS = adaptive_lif.AdaptiveParams(*(jnp.float32(value) for value in (0.6, 0.8, 0.5, 0.7)))


def run(params):
    state, spikes = adaptive_lif.AdaptiveState(jnp.zeros(40), jnp.zeros(40)), []
    for current in CURRENTS:
        state, step_spikes = adaptive_lif.step(params, state, current)
        spikes.append(step_spikes)
    return np.stack(spikes), state


def test_it_is_the_recursion_in_numpy():
    potential, adaptation, expected = np.zeros(40), np.zeros(40), []
    for current in np.asarray(CURRENTS, np.float64):
        membrane = 0.6 * potential + current
        threshold = 0.8 + 0.5 * adaptation
        spikes = membrane >= threshold
        potential, adaptation = membrane - threshold * spikes, 0.7 * adaptation + spikes
        expected.append(spikes)
    spikes, state = run(PARAMS)
    np.testing.assert_array_equal(spikes, np.stack(expected))
    assert 0.05 < spikes.mean() < 0.9
    np.testing.assert_allclose(state.potential, potential, atol=1e-5)
    np.testing.assert_allclose(state.adaptation, adaptation, atol=1e-5)


def test_without_adaptation_it_is_lif():
    spikes, _ = run(PARAMS._replace(strength=jnp.float32(0)))
    potential, expected = jnp.zeros(40), []
    for current in CURRENTS:
        potential, step_spikes = lif.step(NeuronParams(PARAMS.decay, PARAMS.threshold), potential, current, height=1.0)
        expected.append(step_spikes)
    np.testing.assert_array_equal(spikes, np.stack(expected))


def test_a_stronger_adaptation_fires_less():
    rates = [run(PARAMS._replace(strength=jnp.float32(strength)))[0].mean() for strength in (0, 0.5, 2)]
    assert rates[0] > rates[1] > rates[2]


def test_it_starts_where_its_options_say():
    params = nn.AdaptiveLIFCell(nn.adaptive_lif(decay=0.3, threshold=0.9, strength=0.4, adaptation_decay=0.8)).params()
    np.testing.assert_allclose(params, (0.3, 0.9, 0.4, 0.8), rtol=1e-6)


@pytest.mark.parametrize("name", ["decay", "adaptation_decay", "threshold", "strength"])
def test_bad_options(name):
    with pytest.raises(ValueError, match=rf"{name}=-0.5 must be"):
        nn.adaptive_lif(**{name: -0.5})


def test_its_state_is_carried_by_name_in_an_artifact():
    model = nn.mlp((5,), 3, widths=(4,), spec=nn.Spec(num_steps=3, neuron=nn.adaptive_lif()), rngs=nnx.Rngs(0))
    made = deploy.make_artifact(
        deploy.fold.fold(model), lambda inputs: inputs.astype(jnp.float32), input_kind="image", class_names=tuple("abc")
    )
    assert set(made.manifest.state) == {"layers.1.potential", "layers.1.adaptation"}
    inputs = np.random.default_rng(0).integers(0, 4, (6, 5)).astype(np.uint8)
    expected = rollout.rollout(nn.inference_form(model), nn.variables_of(model), inputs.astype(np.float32))
    assert np.ptp(expected, 0).max() > 0
    np.testing.assert_allclose(deploy.Deployed(made)(inputs), expected, rtol=1e-5, atol=1e-5)
