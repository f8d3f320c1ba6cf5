"""Encoded inputs as a deployed network reads them."""

import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import encodings, ops, training
from hdlif_jax.commands.support import codes
from hdlif_jax.data import Split

SPLIT = Split(np.random.default_rng(0).integers(0, 256, (7, 4, 4, 1), np.uint8), np.arange(7, dtype=np.int32))


@pytest.fixture
def source(monkeypatch):
    """Codes in batches of three, the last of which has one image."""
    monkeypatch.setattr(codes, "EVAL_BATCH", 3)
    return codes.Codes(SPLIT, training.make_normalize((0.5,), (0.3,), encodings.dct(5)))


def test_codes_are_those_of_the_batches_of_an_evaluation(source):
    assert (source.shape, source.dtype) == ((7, 5, 4, 4, 1), np.uint8)
    normalize = training.make_normalize((0.5,), (0.3,), encodings.dct(5))
    for start in (0, 3, 6):
        inputs = SPLIT.inputs[start : start + 3]
        expected = np.asarray(normalize(jnp.asarray(inputs[np.arange(3) % len(inputs)])))[:, : len(inputs)]
        found = source.read(np.arange(start, start + len(inputs)))
        np.testing.assert_array_equal(np.moveaxis(found.inputs, 0, 1), expected + 1)
        np.testing.assert_array_equal(found.labels, np.arange(start, start + len(inputs)))


def test_the_order_and_size_of_what_is_read_changes_no_code(source):
    everything = source.load().inputs
    some = np.array([5, 0, 6, 1, 5])
    np.testing.assert_array_equal(source.read(some).inputs, everything[some])
    np.testing.assert_array_equal(source.select(some).labels, some)
    assert set(np.unique(everything)) == {0, 1, 2}


def test_levels_are_normalised_to_codes_exactly():
    levels = jnp.asarray([[0], [1], [2]], jnp.uint8)
    np.testing.assert_array_equal(ops.normalize(levels, (codes.LEVEL,), (codes.LEVEL,)), [[-1], [0], [1]])
