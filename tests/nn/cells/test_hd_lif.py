import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn
from hdlif_jax.neurons import NeuronParams, hd_lif
from hdlif_jax.nn import Tick
from hdlif_jax.quantize import SpikeQuantizer

QUANTIZE = SpikeQuantizer()


def test_hd_lif_reads_the_parameters_of_its_step():
    current = jax.random.normal(jax.random.key(0), (6, 3, 3, 2))
    cell = nn.hd_lif()(3, 2)
    cell.raw_decay[...] = jnp.float32([-1, 0, 1])
    cell.raw_threshold[...] = jnp.float32([1, 0, -1])
    state = jnp.full((6, 3, 3, 2), 0.3)
    for t in range(3):
        params = NeuronParams(jax.nn.sigmoid(jnp.float32(t - 1)), jax.nn.sigmoid(jnp.float32(1 - t)))
        _, expected = hd_lif.step(params, state, current, quantize=QUANTIZE)
        np.testing.assert_array_equal(cell(state, current, Tick(t))[1], expected)
        np.testing.assert_array_equal(cell(state, current, Tick(jnp.int32(t)))[1], expected)


def test_the_affine_of_batchnorm_the_neuron_and_the_quantiser_are_fused():
    """No array between a convolution's output and v and s: the compiled program has a fusion for each of the two."""
    cell = nn.hd_lif()(4, 8)

    def step(convolved, gain, bias, potential):
        current = convolved * gain[None, None, None, :] + bias[None, None, None, :]
        return cell(potential, current, Tick(1))

    x, channels = jnp.ones((2, 4, 4, 8)), jnp.ones(8)
    program = jax.jit(step).lower(x, channels, channels, x).compile().as_text().split("ENTRY")[1]
    shaped = [line for line in program.splitlines() if "= f32[2,4,4,8]" in line and "parameter(" not in line]
    assert 1 <= len(shaped) <= 2
    assert all(" fusion(" in line for line in shaped), program
