import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.data.order import batch_indices, permuted


def permutation(size, epoch, seed=0):
    return permuted(np.arange(size, dtype=np.uint32), np.full(size, epoch, np.uint32), size, seed)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000, 1437])
def test_each_epoch_is_a_permutation(size):
    for epoch in range(3):
        np.testing.assert_array_equal(np.sort(permutation(size, epoch)), np.arange(size))


def test_epochs_and_seeds_differ():
    orders = [permutation(1000, 0), permutation(1000, 1), permutation(1000, 0, seed=1)]
    for first in range(3):
        for second in range(first):
            assert np.mean(orders[first] == orders[second]) < 0.01


def test_every_example_is_equally_likely_at_every_place():
    size, epochs = 8, 4000
    places = np.tile(np.arange(size, dtype=np.uint32), epochs)
    order = permuted(places, np.repeat(np.arange(epochs, dtype=np.uint32), size), size, 3).reshape(epochs, size)
    counts = np.stack([np.bincount(order[:, place], minlength=size) for place in range(size)])
    chi_squared = np.sum((counts - epochs / size) ** 2) / (epochs / size)
    assert chi_squared < 90  # 49 degrees of freedom: 0.03 % of uniform permutations are beyond
    neighbours = np.bincount((order[:, 1].astype(int) - order[:, 0]) % size, minlength=size)[1:]
    assert np.all(np.abs(neighbours - epochs / 7) < 5 * np.sqrt(epochs / 7))


def test_the_device_computes_the_same_indices():
    step = jnp.arange(300, 301, dtype=jnp.uint32)
    on_device = jax.jit(lambda step: batch_indices(step, 1437, 64, 5))(step)
    np.testing.assert_array_equal(on_device, batch_indices(np.array([300], np.uint32), 1437, 64, 5))


def test_an_epoch_of_batches_repeats_no_example():
    batches = [batch_indices(np.array([step], np.uint32), 103, 10, 0) for step in range(20)]
    for epoch in (batches[:10], batches[10:]):
        assert len(np.unique(np.concatenate(epoch))) == 100


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="size=0 must be at least 1"):
        permutation(0, 0)
