import jax
import pytest

from hdlif_jax import analysis
from tests.rollout.test_steps import Dense


@pytest.mark.parametrize("shape", [(5, 8), (4, 5, 8)])
def test_inputs_of_any_rank_are_counted(shape):
    costs = analysis.measure(Dense(), [jax.random.normal(jax.random.key(0), shape)])
    assert costs.num_images == 5
    assert [row.macs for row in costs.synapses] == [40 * (4 if len(shape) == 3 else 1), 15 * 4]
