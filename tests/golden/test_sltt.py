import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, losses, nn
from hdlif_jax.neurons.surrogates import triangle
from tests.golden.cases import cases
from tests.golden.online_net import check_neuron, check_steps, net, step_loss, weights_of

LIF = nn.lif(
    triangle(1.0), decay=1 - 1 / 1.1, learn_decay=False, threshold=1.0, learn_threshold=False, height=1.0, tie=">="
)


@pytest.mark.parametrize("case", cases("sltt"))
def test_sltt(case):
    names = {"cut": "sltt_grad_current", "full": "bptt_grad_current"}
    check_neuron(case, LIF, **names)
    check_neuron(case, LIF, "tau2_", **names)
    check_steps(case, LIF)
    check_steps(case, LIF, target=losses.distance_to(1.0), name="net_const_")

    network, variables, batch = net(case, LIF)
    loss = step_loss(case, losses.mean_squared_error(), network.num_steps)
    of_steps = learning.gradient_at_steps(network, loss, variables, batch, jnp.asarray(case["kstep_steps"]))
    for name, value in weights_of(of_steps.grads).items():
        case.close(f"kstep_grad_{name}", value)
    case.done()


def test_a_neuron_at_its_threshold_fires():
    _, spikes = LIF(1, 1)(None, jnp.float32([[0.75, 1.0, 1.25]]), nn.Tick(0))
    np.testing.assert_array_equal(spikes, [[0, 1, 1]])
