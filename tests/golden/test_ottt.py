import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, nn, quantize
from hdlif_jax.neurons.surrogates import sigmoid
from tests.golden.cases import cases
from tests.golden.online_net import check_neuron, check_steps, traces_of

LIF = nn.lif(
    sigmoid(4.0), decay=0.5, learn_decay=False, threshold=1.0, learn_threshold=False, height=1.0, tie=">=", detach=True
)
TRACE = learning.decay_trace()


@pytest.mark.parametrize("case", cases("ottt"))
def test_ottt(case):
    cell, spikes, potentials = check_neuron(case, LIF)
    case.close("trace", traces_of(TRACE, cell, spikes, potentials)[0])
    check_steps(case, LIF, lambda network: learning.with_traces(network, TRACE))

    kernel, gain = case.float32("ws_kernel_oihw").transpose(2, 3, 1, 0), case.float32("ws_gain").reshape(-1)
    cotangent = case.float32("ws_cotangent").transpose(2, 3, 1, 0)
    assert case["ws_eps"] == 1e-4
    output, pullback = jax.vjp(quantize.standardize, jnp.asarray(kernel), jnp.asarray(gain))
    of_kernel, of_gain = pullback(jnp.asarray(cotangent))
    case.close("ws_output", np.transpose(output, (3, 2, 0, 1)))
    case.close("ws_grad_kernel", np.transpose(of_kernel, (3, 2, 0, 1)))
    case.close("ws_grad_gain", of_gain.reshape(-1, 1, 1, 1))
    case.done()


def test_a_neuron_at_its_threshold_fires():
    _, spikes = LIF(1, 1)(None, jnp.float32([[0.75, 1.0, 1.25]]), nn.Tick(0))
    np.testing.assert_array_equal(spikes, [[0, 1, 1]])
