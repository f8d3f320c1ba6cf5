import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

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


def test_a_request_to_stop_is_for_the_process_that_trains_alone(split):
    """Ctrl-C and schedulers signal all processes; workers that died would take the last checkpoint with them."""
    expected = batches(split, 0, 40, 0)
    stream_ = stream(BatchReader(split, 6, 3), 0, 40, 1)
    seen = [next(stream_)]
    for worker in multiprocessing.active_children():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
    same([*seen, *stream_], expected)


READ_ON = """
import multiprocessing, sys
import numpy as np
from hdlif_jax.data import BatchReader, Split, stream

split = Split(np.zeros((37, 4, 4, 1), np.uint8), np.arange(37, dtype=np.int32))
batches = stream(BatchReader(split, 6, 3), 0, 2**31 - 1, 1)
next(batches)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
sys.stdin.read()
"""


def test_workers_do_not_outlive_a_process_that_was_killed():
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", READ_ON], stdin=pipe, stdout=pipe, text=True) as process:
        (worker,) = map(int, process.stdout.readline().split())
        process.kill()
    deadline = time.monotonic() + 20
    while pathlib.Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pathlib.Path(f"/proc/{worker}").exists()


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
