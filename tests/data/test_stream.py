import numpy as np
import pytest

from hdlif_jax.data import BatchReader, Split, open_prepared, prepare, stream
from tests.data import originals


@pytest.fixture(scope="module")
def split():
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (37, 4, 4, 1), dtype=np.uint8)
    return Split(inputs, np.arange(37, dtype=np.int32))


def batches(source, first, last, workers, **options):
    return list(stream(BatchReader(source, 6, 3, **options), first, last, workers))


def same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_batches_come_in_order_and_each_epoch_shows_every_example_at_most_once(split):
    seen = batches(split, 0, 18, 0)
    for epoch in range(3):
        labels = np.concatenate([batch.labels for batch in seen[6 * epoch : 6 * epoch + 6]])
        assert len(np.unique(labels)) == 36
    for batch in seen:
        np.testing.assert_array_equal(batch.inputs, split.inputs[batch.labels])


def test_a_stream_goes_on_exactly_where_it_begins(split):
    same(batches(split, 0, 18, 0)[7:], batches(split, 7, 18, 0))


def test_worker_processes_give_the_same_batches_from_disk_as_memory(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    originals.write_cifar100_binary(tmp_path / "in", generator, sizes=(20, 3))
    prepare("cifar100", tmp_path / "in", tmp_path, partial=True)
    records = open_prepared("cifar100", tmp_path, num_steps=4).train
    same(batches(records, 2, 9, 2), batches(records.load(), 2, 9, 0))


def test_processes_share_a_batch(split):
    whole = batches(split, 0, 8, 0)
    shards = [batches(split, 0, 8, 0, shard=(index, 3)) for index in range(3)]
    joined = [
        Split(np.concatenate([part.inputs for part in parts]), np.concatenate([part.labels for part in parts]))
        for parts in zip(*shards, strict=True)
    ]
    same(joined, whole)


@pytest.mark.parametrize(
    ("batch_size", "shard", "message"),
    [
        (38, (0, 1), "batch_size=38 must be between 1 and the 37 examples"),
        (0, (0, 1), "batch_size=0 must be"),
        (6, (0, 4), r"shard=\(0, 4\): 4 processes cannot share a batch of 6 evenly"),
        (6, (3, 3), r"shard=\(3, 3\)"),
    ],
)
def test_bad_arguments_are_refused(split, batch_size, shard, message):
    with pytest.raises(ValueError, match=message):
        BatchReader(split, batch_size, 0, shard)
