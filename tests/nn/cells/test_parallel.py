import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn
from hdlif_jax.neurons import parallel
from hdlif_jax.nn import Tick
from hdlif_jax.quantize import SpikeQuantizer


def test_parallel_reads_the_threshold_of_its_step_and_not_the_first():
    current = jax.random.normal(jax.random.key(0), (6, 3, 3, 2))
    cell = nn.parallel()(2, 2)
    cell.raw_threshold[...] = jnp.float32([-2, 2])
    _, expected = parallel.step(jax.nn.sigmoid(jnp.float32(2)), (), current, quantize=SpikeQuantizer())
    state, spikes = cell(None, current, Tick(1))
    np.testing.assert_array_equal(spikes, expected)
    assert state == ()
