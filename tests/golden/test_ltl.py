import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, losses, nn, rollout
from hdlif_jax.neurons.surrogates import rectangle
from tests.golden.cases import cases
from tests.golden.online_net import check_neuron, net, weights_of

LIF = nn.lif(
    rectangle(0.4, 1.0),
    decay=float(np.exp(-0.1)),
    learn_decay=False,
    threshold=0.6,
    learn_threshold=False,
    height=1.0,
    reset="hard",
    tie=">",
)
LAYERS = ("layers.1", "layers.3")


@pytest.mark.parametrize("case", cases("ltl"))
def test_ltl(case):
    check_neuron(case, LIF, full="offline_grad_current", cut="online_grad_current")
    num_steps, warmup = len(case["current"]), int(case["warmup"])
    network, variables, batch = net(case, LIF, num_steps)
    teacher = Given({path: case.float32(f"teacher_{layer}") for layer, path in enumerate(LAYERS, 1)})
    seen = rollout.record(network, variables, batch.inputs, layers=[*LAYERS, "layers.4"], what="spikes")
    logits = np.asarray(seen["layers.4"]["output"])
    for mode, first in (("offline", 0), ("online", warmup)):
        rule = learning.layer_local(teacher, float(case[f"{mode}_percentile"]), mode == "online", first)
        gradient = jax.jit(lambda v, rule=rule: rule.gradient(network, losses.cross_entropy(), v, batch))(variables)
        case.close(f"{mode}_logit_sum", logits.sum(0))
        np.testing.assert_allclose(gradient.logits, logits[first:].sum(0), atol=1e-5)  # of the steps that teach
        of_out, of_layers = 0.0, np.zeros(2)
        learning_steps = range(warmup, num_steps) if mode == "online" else [num_steps - 1]
        for layer, path in enumerate(LAYERS, 1):
            rates, scale = learning.rates_of(jnp.asarray(teacher.given[path]), rule.percentile)
            case.close(f"{mode}_target_{layer}", rates)
            case.close(f"{mode}_scale_{layer}", scale)
            counts = np.cumsum(seen[path]["spikes"], 0)
            case.exact(f"{mode}_count_{layer}", counts[-1])
            of_layers[layer - 1] = sum(np.mean((counts[t] / (t + 1) - rates) ** 2) for t in learning_steps)
        sums = np.cumsum(logits, 0)
        of_out = sum(
            float(losses.cross_entropy()(jnp.asarray(sums[t] / (t + 1)), batch.labels)) for t in learning_steps
        )
        case.close(f"{mode}_loss_out", np.float32(of_out))
        case.close(f"{mode}_loss_local", of_layers)
        np.testing.assert_allclose(gradient.loss, of_out + of_layers.sum(), rtol=1e-5)
        for name, value in weights_of(gradient.grads).items():
            case.close(f"{mode}_grad_{name}", value)
    case.done()


class Given:
    """A teacher whose activations are known."""

    def __init__(self, given):
        self.given = given

    def activations(self, inputs):
        return {path: jnp.asarray(value) for path, value in self.given.items()}


def test_a_neuron_at_its_threshold_is_silent():
    _, spikes = LIF(1, 1)(None, jnp.float32([[0.5, 0.6, 0.7]]), nn.Tick(0))
    np.testing.assert_array_equal(spikes, [[0, 0, 1]])
