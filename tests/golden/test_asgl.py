"""ASGL (Wang et al., ICML 2023): its neuron, whose step is smooth, noisy and of learned width."""

import jax
import jax.numpy as jnp
import pytest

from hdlif_jax.neurons import NeuronParams, charge, lif, surrogates
from tests.golden.cases import cases
from tests.golden.neurons import run

SHAPES, RESETS = {"sig": "sigmoid", "rec": "ramp"}, ("hard", "soft")


@pytest.mark.parametrize("case", cases("asgl"))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reset", RESETS)
def test_neuron_with_the_masks_given(case, shape, reset):
    prefix = f"{shape}_{reset}_"
    others = [f"{other}_{kind}_" for other in SHAPES for kind in RESETS if (other, kind) != (shape, reset)]
    for name in case.arrays:  # another of these tests looks at them
        if name.startswith(tuple(others)):
            case[name]
    current, cotangent = (jnp.asarray(case.float32(prefix + name)) for name in ("current", "cotangent"))
    mask, threshold = case[f"{prefix}mask"] == 1, case.float32(f"{prefix}threshold")
    spike = surrogates.smooth_step(SHAPES[shape])

    def step(value, raw_decay, fires, state, current_t):
        params = NeuronParams(jax.nn.sigmoid(raw_decay), threshold)
        spike_function = spike.at(value) if fires is None else spike.mixed(value, fires)
        return lif.step(params, state, current_t, spike_function=spike_function, reset=reset)

    def total(current, value, raw_decay):
        states, spikes = run(lambda t, *state: step(value, raw_decay, mask[t], *state), current)
        return jnp.sum(cotangent * spikes / threshold), (states, spikes)

    value, raw_decay = (jnp.asarray(case.float32(prefix + name)) for name in ("raw_width", "raw_decay"))
    grads, (states, spikes) = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))(current, value, raw_decay)
    case.close(f"{prefix}spikes_train", spikes / threshold)
    before = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
    case.close(f"{prefix}membrane_train", charge(jax.nn.sigmoid(raw_decay), before, current))
    for name, gradient in zip(("current", "raw_width", "raw_decay"), grads, strict=True):
        case.close(f"{prefix}grad_{name}", gradient)
    _, spikes = run(lambda t, *state: step(value, raw_decay, None, *state), current)
    case.exact(f"{prefix}spikes_eval", spikes / threshold)
    case.done()


@pytest.mark.parametrize("shape", SHAPES.values())
def test_a_neuron_at_its_threshold_fires(shape):
    assert surrogates.smooth_step(shape)(jnp.float32([-1e-6, 0, 1e-6])).tolist() == [0, 1, 1]
