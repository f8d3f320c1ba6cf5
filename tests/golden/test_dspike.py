"""Dspike (Li et al., NeurIPS 2021): its surrogate, its neuron, and the choice of its temperature in float64."""

import functools

import jax
import jax.numpy as jnp
import pytest

from hdlif_jax import losses
from hdlif_jax.neurons import NeuronParams, lif, surrogates
from hdlif_jax.training.temperature import agreement
from tests.golden.cases import cases
from tests.golden.neurons import check_neuron, run

DSPIKE = surrogates.dspike()


@pytest.mark.parametrize("case", cases("dspike"))
def test_surrogate_neuron_and_choice_of_the_temperature(case):
    check_surrogate(case)
    params = NeuronParams(case.float32("decay"), case.float32("threshold"))
    for temperature in ("0.5", "1", "3", "6"):
        spike = DSPIKE.at(float(temperature))
        gradient = check_neuron(
            case,
            lambda *state, spike=spike: lif.step(
                params, *state, spike_function=spike, height=1.0, reset="hard", tie=">"
            ),
            lambda state, current: params.decay * state + current,
        )
        case.close(f"grad_current_b{temperature}", gradient)
    with jax.enable_x64(True):
        check_choice(case)
    case.done()


def check_surrogate(case):
    """The file's x is the membrane, and θ is ½."""
    excess, temperatures = jnp.float32(case["surr_x"] - case["threshold"]), jnp.asarray(case.float32("surr_b"))
    case.close("surr_value", jax.vmap(DSPIKE.curve, (None, 0))(excess, temperatures))
    slope = jax.vmap(jax.grad(lambda excess, temperature: DSPIKE.at(temperature)(excess)), (0, None))
    case.close("surr_grad", jax.vmap(slope, (None, 0))(excess, temperatures))


def check_choice(case):
    params = NeuronParams(jnp.float64(0.5), jnp.float64(0.5))
    kernel, readout, inputs = (jnp.asarray(case[f"net_{name}"]) for name in ("W1", "W2", "x"))
    labels = jnp.asarray(case["net_y"])

    def value(kernel, temperature):
        step = functools.partial(
            lif.step, params, spike_function=DSPIKE.at(temperature), height=1.0, reset="hard", tie=">"
        )
        _, spikes = run(lambda t, *state: step(*state), inputs @ kernel.T)
        return losses.of_mean_output(losses.cross_entropy())(spikes @ readout.T, labels)

    temperatures = jnp.asarray(case["net_b"])
    values, grads = jax.jit(jax.vmap(jax.value_and_grad(value), (None, 0)))(kernel, temperatures)
    case.close("net_loss", values[0])
    case.close("net_grad_W1", grads)
    agree = jax.jit(lambda epsilon: agreement(value, kernel, temperatures, jnp.arange(kernel.size), epsilon))
    for name in ("fd_e1", "fd_e2"):
        found = agree(case[f"{name}_eps"])
        case.close(f"{name}_grad", found.differences.reshape(kernel.shape))
        case.close(f"{name}_cos", found.cosines)
        case.close(f"{name}_best_of_first3", temperatures[jnp.argmax(found.cosines[:3])])


def test_a_neuron_at_its_threshold_is_silent():
    _, spikes = lif.step(
        NeuronParams(jnp.float32(0.5), jnp.float32(0.5)), jnp.zeros(1), jnp.float32([0.5]),
        spike_function=DSPIKE, reset="hard", tie=">",
    )  # fmt: skip
    assert spikes.tolist() == [0]
