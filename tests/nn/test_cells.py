import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax.neurons import NeuronParams, NeuronState, hd_lif, parallel
from hdlif_jax.nn import HDLIFCell, MemBNHDLIFCell, PerStepParam, make_cell
from hdlif_jax.quantize import SpikeQuantizer

QUANTIZE = SpikeQuantizer()


def current():
    return jax.random.normal(jax.random.key(0), (6, 3, 3, 2))


@pytest.mark.parametrize("kind", ["lif", "hd-lif", "parallel", "mem-bn"])
def test_starts_where_the_authors_start(kind):
    cell = make_cell(kind, 4, 2, QUANTIZE)
    if kind == "lif":
        assert (jax.nn.sigmoid(cell.raw_decay[...]), cell.threshold[...]) == (0.5, 1.0)
    else:
        np.testing.assert_array_equal(jax.nn.sigmoid(cell.raw_threshold[...]), np.full(4, 0.5))


def test_hd_lif_reads_the_parameters_of_its_step():
    cell = make_cell("hd-lif", 3, 2, QUANTIZE)
    cell.raw_decay[...] = jnp.float32([-1, 0, 1])
    cell.raw_threshold[...] = jnp.float32([1, 0, -1])
    state = NeuronState(jnp.full((6, 3, 3, 2), 0.3))
    for t in range(3):
        params = NeuronParams(jax.nn.sigmoid(jnp.float32(t - 1)), jax.nn.sigmoid(jnp.float32(1 - t)))
        _, expected = hd_lif.step(params, state, current(), quantize=QUANTIZE)
        np.testing.assert_array_equal(cell(state, current(), t)[1], expected)
        np.testing.assert_array_equal(cell(state, current(), jnp.int32(t))[1], expected)


def test_parallel_reads_the_threshold_of_its_step_and_not_the_first():
    cell = make_cell("parallel", 2, 2, QUANTIZE)
    cell.raw_threshold[...] = jnp.float32([-2, 2])
    _, expected = parallel.step(jax.nn.sigmoid(jnp.float32(2)), NeuronState(), current(), quantize=QUANTIZE)
    np.testing.assert_array_equal(cell(None, current(), 1)[1], expected)


def test_mem_bn_keeps_statistics_for_each_step():
    cell = MemBNHDLIFCell(3, 2, QUANTIZE)
    cell(None, current(), 1)
    membrane = np.asarray(current())
    np.testing.assert_allclose(cell.mean[1], 0.1 * membrane.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(cell.var[1], 0.9 + 0.1 * membrane.var((0, 1, 2)), rtol=1e-5)
    for t in (0, 2):
        np.testing.assert_array_equal(cell.mean[t], [0, 0])
        np.testing.assert_array_equal(cell.var[t], [1, 1])


def test_mem_bn_uses_and_keeps_its_running_statistics_in_inference():
    cell = MemBNHDLIFCell(3, 2, QUANTIZE)
    cell.mean[...] = jnp.full((3, 2), 0.5)
    cell.eval()
    _, spikes = cell(None, current(), 0)
    mixed = 0.5 * current() + 0.5 * (current() - 0.5) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(spikes, QUANTIZE(jnp.maximum(mixed - 0.5, 0)), atol=1e-6)
    np.testing.assert_array_equal(cell.mean[...], np.full((3, 2), 0.5))


def test_mem_bn_with_alpha_one_and_beta_zero_is_vanilla():
    mem_bn, vanilla = MemBNHDLIFCell(3, 2, QUANTIZE), make_cell("hd-lif", 3, 2, QUANTIZE)
    mem_bn.raw_membrane_weight[...] = jnp.full(3, 100.0)  # sigmoid = 1
    mem_bn.raw_normalized_weight[...] = jnp.full(3, -200.0)  # sigmoid = 0
    for train in (True, False):
        mem_bn.set_attributes(use_running_average=not train)
        np.testing.assert_array_equal(mem_bn(None, current(), 1)[1], vanilla(None, current(), 1)[1])


def test_records_spikes_when_asked():
    cell = make_cell("hd-lif", 2, 2, QUANTIZE)
    assert cell(None, current(), 0)[0].spikes is None
    cell.record = True
    state, spikes = cell(None, current(), 0)
    assert state.spikes is spikes


@pytest.mark.parametrize(("kind", "count"), [("lif", 0), ("hd-lif", 2), ("parallel", 1), ("mem-bn", 6)])
def test_parameters_indexed_by_time_are_marked(kind, count):
    marked = nnx.state(make_cell(kind, 5, 2, QUANTIZE), PerStepParam)
    leaves = jax.tree.leaves(marked)
    assert len(leaves) == count
    assert all(leaf.shape[0] == 5 for leaf in leaves)


def test_unknown_kind():
    with pytest.raises(ValueError, match="neuron='izhikevich' is unknown; choose one of lif, hd-lif, parallel, mem-bn"):
        make_cell("izhikevich", 4, 2, QUANTIZE)


def test_the_affine_of_batchnorm_the_neuron_and_the_quantiser_are_fused():
    """No array between a convolution's output and v and s: the compiled program has a fusion for each of the two."""
    cell = HDLIFCell(4, SpikeQuantizer())

    def step(convolved, gain, bias, residual):
        current = convolved * gain[None, None, None, :] + bias[None, None, None, :]
        state, spikes = cell(NeuronState(residual), current, 1)
        return state.residual, spikes

    x, channels = jnp.ones((2, 4, 4, 8)), jnp.ones(8)
    program = jax.jit(step).lower(x, channels, channels, x).compile().as_text().split("ENTRY")[1]
    shaped = [line for line in program.splitlines() if "= f32[2,4,4,8]" in line and "parameter(" not in line]
    assert 1 <= len(shaped) <= 2
    assert all(" fusion(" in line for line in shaped), program
