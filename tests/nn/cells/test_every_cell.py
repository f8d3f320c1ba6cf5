"""What every cell of the library keeps; a new one is a line of CELLS."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Form, Tick
from hdlif_jax.nn.forms import in_form
from hdlif_jax.quantize import SpikeQuantizer

CELLS = {"lif": nn.lif(), "hd-lif": nn.hd_lif(), "parallel": nn.parallel(), "mem-bn": nn.mem_bn(), "glif": nn.glif()}
EACH = pytest.mark.parametrize("factory", CELLS.values(), ids=CELLS)


def current():
    return jax.random.normal(jax.random.key(0), (6, 3, 3, 2))


@EACH
def test_starts_where_the_authors_start(factory):
    cell = factory(4, 2)
    if isinstance(cell, nn.LIFCell):
        assert (jax.nn.sigmoid(cell.raw_decay[...]), cell.threshold[...]) == (0.5, 1.0)
    else:
        size = 2 if isinstance(cell, nn.GLIFCell) else 4  # by channel, or by step
        np.testing.assert_array_equal(jax.nn.sigmoid(cell.raw_threshold[...]), np.full(size, 0.5))


@pytest.mark.parametrize(("kind", "count"), [("lif", 0), ("hd-lif", 2), ("parallel", 1), ("mem-bn", 6), ("glif", 1)])
def test_parameters_indexed_by_time_are_marked(kind, count):
    marked = nnx.state(CELLS[kind](5, 2), nn.PerStepParam)
    leaves = jax.tree.leaves(marked)
    assert len(leaves) == count
    assert all(leaf.shape[0] == 5 for leaf in leaves)


@EACH
def test_a_missing_state_is_the_start(factory):
    for train in (True, False):
        cell = in_form(factory(4, 2), Form(train))
        fresh = cell(None, current(), Tick(1))
        started = cell(cell.start(current()), current(), Tick(1))
        jax.tree.map(np.testing.assert_array_equal, fresh, started)
        assert all(not np.any(leaf) for leaf in jax.tree.leaves(cell.start(current())))


@EACH
def test_says_what_it_emits_and_emits_no_more(factory):
    cell = factory(4, 2)
    assert cell.operations == {nn.ParallelHDLIFCell: 1, nn.GLIFCell: 6}.get(type(cell), 3)
    _, spikes = cell(None, 4 * current(), Tick(0))
    levels = [0, 1] if cell.emits == nn.BINARY else 0.25 * np.arange(16)
    assert np.isin(spikes, levels).all()
    assert len(np.unique(spikes)) > 1


@EACH
def test_membranes_are_float32_whatever_the_currents_are(factory):
    cell, rounded = factory(4, 2), current().astype(jnp.bfloat16)
    state, spikes = cell(None, rounded, Tick(0))
    assert spikes.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
    exact_state, exact = cell(None, rounded.astype(jnp.float32), Tick(0))
    jax.tree.map(np.testing.assert_array_equal, state, exact_state)
    np.testing.assert_array_equal(spikes, exact.astype(jnp.bfloat16))


@EACH
def test_equal_factories_are_equal_and_print_what_they_are(factory):
    again = type(factory)()
    assert factory == again
    assert hash(factory) == hash(again)
    assert repr(factory).startswith(f"{type(factory).__name__}(")
    assert len({*CELLS.values(), again}) == len(CELLS)


@pytest.mark.parametrize("factory", [nn.hd_lif, nn.parallel, nn.mem_bn])
def test_the_levels_of_the_spikes_are_those_of_the_factory(factory):
    assert factory(2, 0.5)(4, 3).emits == nn.SpikeInput(SpikeQuantizer(0.5, 2))
    assert factory(bits=None)(4, 3).emits.quantizer.softness is None
    with pytest.raises(ValueError, match="bits=0 must be in 1…24"):
        factory(bits=0)
    with pytest.raises(ValueError, match=r"scale=-1\.0 must be positive"):
        factory(scale=-1.0)
