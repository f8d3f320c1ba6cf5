"""Batches from disk or memory, read and decoded ahead by worker processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator

import numpy as np

from hdlif_jax.data.extras import needed
from hdlif_jax.data.order import batch_indices
from hdlif_jax.data.source import Source, Split

AHEAD = 4  # batches that each worker keeps ready


class BatchReader:
    """Reads the batch of a step: what the workers run.

    Args:
      source: the examples.
      batch_size: B, over all processes.
      seed: of the run; order and crops are functions of (seed, step).
      shard: (index, number) of this process among those that share a batch; each reads its own rows.

    Raises:
      ValueError: the processes cannot share the batch evenly, or the batch is larger than the source.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, shard: tuple[int, int] = (0, 1)):
        index, number = shard
        if not 0 <= index < number or batch_size % number:
            raise ValueError(f"shard={shard}: {number} processes cannot share a batch of {batch_size} evenly")
        if not 1 <= batch_size <= source.shape[0]:
            raise ValueError(f"batch_size={batch_size} must be between 1 and the {source.shape[0]} examples")
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.rows = slice(index * batch_size // number, (index + 1) * batch_size // number)

    def __call__(self, step: int) -> Split:
        """The batch of a step: inputs `[B, ...]` uint8 and labels `[B]` int32."""
        size = self.source.shape[0]
        indices = batch_indices(np.array([step], np.uint32), size, self.batch_size, self.seed)[self.rows]
        places = np.arange(self.batch_size)[self.rows] + step * self.batch_size
        keys = np.stack([np.full_like(places, self.seed), places], 1)
        return self.source.read(indices.astype(np.int64), keys)


def stream(reader: BatchReader, first_step: int, last_step: int, workers: int = 2) -> Iterator[Split]:
    """The batches of steps first_step…last_step−1 in order; to resume, begin at another step.

    Args:
      reader: reads one batch.
      first_step: of the first batch.
      last_step: behind the last batch.
      workers: processes that read ahead; 0 reads ahead in threads of this process.
    """
    grain, flags = needed("grain"), needed("absl.flags")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain's workers ask for flags, which nothing here parses
    steps = grain.MapDataset.range(first_step, last_step).map(reader)
    options = grain.ReadOptions(num_threads=1 if workers else 2, prefetch_buffer_size=AHEAD)
    batches = steps.to_iter_dataset(options)
    if workers:
        processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=AHEAD)
        batches = batches.mp_prefetch(processes, worker_init_fn=_live_and_die_with_the_parent)
    for batch in batches:
        # Workers hand arrays over in shared memory, which is freed with them: what leaves here is ordinary memory.
        yield Split(*(np.array(values) for values in batch))


def _live_and_die_with_the_parent(index: int, number: int) -> None:
    # Ctrl-C and schedulers signal every process: the parent needs batches until it has stopped, and then ends us.
    del index, number
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.SIG_IGN)
    threading.Thread(target=_exit_after_the_parent, daemon=True).start()


def _exit_after_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # also of one that was killed, which ends nobody
        os._exit(1)
