"""TET (Deng et al., ICLR 2022): its neuron, and its loss."""

import jax
import jax.numpy as jnp
import pytest

from hdlif_jax import losses
from hdlif_jax.neurons import NeuronParams, lif, surrogates
from tests.golden.cases import cases
from tests.golden.neurons import check_neuron


@pytest.mark.parametrize("case", cases("tet"))
def test_neuron_and_loss(case):
    params = NeuronParams(case.float32("decay"), case.float32("threshold"))
    triangle = surrogates.triangle(float(case["gamma"]))
    found = check_neuron(
        case,
        lambda state, current: lif.step(params, state, current, spike_function=triangle, reset="hard", tie=">"),
        lambda state, current: params.decay * state + current,
    )
    case.close("grad_current", found)
    logits, labels = jnp.asarray(case.float32("loss_logits")), jnp.int32(case["loss_labels"])
    for weight in ("0", "1e-3", "0.05"):
        loss = losses.tet(weight=float(weight), constant=float(case["loss_means"]))
        value, gradient = jax.value_and_grad(loss)(logits, labels)
        case.close(f"loss_lamb{weight}", value)
        case.close(f"loss_lamb{weight}_grad", gradient)
    case.done()


def test_a_neuron_at_its_threshold_is_silent():
    params = NeuronParams(jnp.float32(0.5), jnp.float32(1.0))
    state, spikes = lif.step(params, jnp.float32([0.0, 1.0]), jnp.float32([1.0, 0.5]), reset="hard", tie=">")
    assert (state.tolist(), spikes.tolist()) == ([1.0, 1.0], [0.0, 0.0])
