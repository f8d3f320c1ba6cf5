import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, nn
from tests.golden.cases import cases
from tests.golden.online_net import check_neuron, check_steps, traces_of
from tests.golden.test_ottt import LIF

CODE, PAPER = learning.ratio_trace("code"), learning.ratio_trace("paper")


@pytest.mark.parametrize("case", cases("ndot"))
def test_ndot(case):
    cell, spikes, potentials = check_neuron(case, LIF)
    traces, memories = traces_of(CODE, cell, spikes, potentials)
    case.close("trace", traces)
    found = np.stack([memory.ratio for memory in memories])
    found[0] = case["ratio_code"][0]  # unused: before the first step there is no trace
    case.close("ratio_code", found)
    traces, memories = traces_of(PAPER, cell, spikes, potentials)
    case.close("trace_paper", traces)
    before = np.stack([memory.ratio for memory in memories])[:-1]  # the factor of a step is the ratio of the one before
    case.close("ratio_paper", np.concatenate([case["ratio_paper"][:1], before]))
    check_steps(case, LIF, lambda network: learning.with_traces(network, CODE))
    check_steps(case, LIF, lambda network: learning.with_traces(network, PAPER), name="net_paper_")
    case.done()


def test_a_ratio_of_nothing_is_the_decay():
    cell, zeros = LIF(3, 1), jnp.zeros((1, 1))
    for trace in (CODE, PAPER):
        memory, values = trace.start(zeros), []
        for t, spikes in enumerate((1.0, 0.0, 0.0)):
            state = jnp.full((1, 1), spikes)  # v − θ s is 0 at every step, and v after the first
            memory, value = trace.advance(
                cell, memory, state if trace == CODE else zeros, jnp.full((1, 1), spikes), nn.Tick(t)
            )
            values.append(float(value[0, 0]))
        assert values == [1.0, 0.5, 0.25]
