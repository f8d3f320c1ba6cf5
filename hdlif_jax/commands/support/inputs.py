"""Inputs to count operations on and to compare gradients on: real ones, or random ones of the same shape."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.make import make_encoding, make_normalize
from hdlif_jax.data import Dataset, InputSpec
from hdlif_jax.encodings import reads_normalized
from hdlif_jax.learning import Batch
from hdlif_jax.training import Trainer

BATCH = 16
COMPARED_IMAGES = 64


def real_batches(config: TrainConfig, dataset: Dataset, count: int) -> Iterator[jax.Array]:
    """The first `count` test inputs after a fixed shuffle, as the network reads them."""
    normalize = make_normalize(config, dataset)
    order = np.sort(np.random.default_rng(0).permutation(dataset.test.shape[0])[:count])
    for start in range(0, count, BATCH):
        images, _ = dataset.test.read(order[start : start + BATCH])
        yield normalize(jnp.asarray(images))


def random_batches(config: TrainConfig, spec: InputSpec, count: int) -> Iterator[jax.Array]:
    """Images of standard normal pixels, or frames of Poisson event counts of mean 0.1; codes of what they read of such.

    Intensities, which other codes read, are uniform.
    """
    encoding = make_encoding(config.data, config.model.num_steps)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        key = jax.random.fold_in(jax.random.key(0), start)
        if spec.is_sequence:
            events = jax.random.poisson(key, 0.1, (config.model.num_steps, size, *spec.shape))
            yield events.astype(jnp.float32)
        elif encoding is None or reads_normalized(encoding):
            images = jax.random.normal(key, (size, *spec.shape), jnp.float32)
            yield images if encoding is None else encoding(key, images)
        else:
            yield encoding(key, jax.random.uniform(key, (size, *spec.shape), jnp.float32))


def comparison_batch(trainer: Trainer) -> Batch:
    """The first training examples, not augmented, as the network reads them, and their labels."""
    train = trainer.plan.train
    images, labels = train.read(np.arange(min(COMPARED_IMAGES, train.shape[0])))
    return Batch(trainer.normalize(jnp.asarray(images)), jnp.asarray(labels))
