import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.nn import Form, Tick
from hdlif_jax.nn.forms import in_form
from hdlif_jax.quantize import SpikeQuantizer

QUANTIZE = SpikeQuantizer()


def current():
    return jax.random.normal(jax.random.key(0), (6, 3, 3, 2))


def test_mem_bn_keeps_statistics_for_each_step():
    cell = in_form(nn.mem_bn()(3, 2), Form(train=True))
    cell(None, current(), Tick(1))
    membrane = np.asarray(current())
    np.testing.assert_allclose(cell.mean[1], 0.1 * membrane.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(cell.var[1], 0.9 + 0.1 * membrane.var((0, 1, 2)), rtol=1e-5)
    for t in (0, 2):
        np.testing.assert_array_equal(cell.mean[t], [0, 0])
        np.testing.assert_array_equal(cell.var[t], [1, 1])


def test_the_momentum_is_what_a_batch_leaves():
    cell = in_form(nn.mem_bn(momentum=0.25)(3, 2), Form(train=True))
    cell(None, current(), Tick(0))
    np.testing.assert_allclose(cell.var[0], 0.25 + 0.75 * np.asarray(current()).var((0, 1, 2)), rtol=1e-5)
    with pytest.raises(ValueError, match=r"momentum=1\.5 must be in \[0, 1\)"):
        nn.mem_bn(momentum=1.5)


@pytest.mark.parametrize("form", [Form(train=False), None])
def test_mem_bn_uses_and_keeps_its_running_statistics_in_inference(form):
    cell = nn.mem_bn()(3, 2)
    cell.mean[...] = jnp.full((3, 2), 0.5)
    cell = cell if form is None else in_form(cell, form)
    _, spikes = cell(None, current(), Tick(0))
    mixed = 0.5 * current() + 0.5 * (current() - 0.5) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(spikes, QUANTIZE(jnp.maximum(mixed - 0.5, 0)), atol=1e-6)
    np.testing.assert_array_equal(cell.mean[...], np.full((3, 2), 0.5))


def test_mem_bn_with_alpha_one_and_beta_zero_is_vanilla():
    mem_bn, vanilla = nn.mem_bn()(3, 2), nn.hd_lif()(3, 2)
    mem_bn.raw_membrane_weight[...] = jnp.full(3, 100.0)  # sigmoid = 1
    mem_bn.raw_normalized_weight[...] = jnp.full(3, -200.0)  # sigmoid = 0
    for train in (True, False):
        cell = in_form(mem_bn, Form(train))
        np.testing.assert_array_equal(cell(None, current(), Tick(1))[1], vanilla(None, current(), Tick(1))[1])
