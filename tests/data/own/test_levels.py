"""Levels counted piece by piece give the statistics of all of them."""

import numpy as np

from hdlif_jax.data.arrays import statistics
from hdlif_jax.data.own.levels import count_levels, statistics_of


def test_counts_in_pieces_are_the_statistics_of_all():
    inputs = np.random.default_rng(0).integers(3, 250, (20, 5, 4, 3), dtype=np.uint8)
    counts = sum(count_levels(inputs[at : at + 6]) for at in range(0, 20, 6))
    assert counts.shape == (3, 256)
    assert counts.sum(1).tolist() == [400] * 3
    np.testing.assert_allclose(statistics_of(counts), statistics(inputs), rtol=1e-12)


def test_a_channel_of_one_level_is_divided_by_one():
    inputs = np.stack([np.full((4, 6), 77, np.uint8), np.arange(24, dtype=np.uint8).reshape(4, 6)], -1)
    mean, std = statistics_of(count_levels(inputs))
    assert std[0] == 1.0
    np.testing.assert_allclose(mean[0], 77 / 255)
    np.testing.assert_allclose(std[1], np.std(np.arange(24)) / 255)
