"""Evaluation: how many predictions are right after 1…T time-steps."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from hdlif_jax import rollout
from hdlif_jax.data import Source
from hdlif_jax.nn import Network, Variables
from hdlif_jax.training.sharding import batch_sharding, place

EVAL_BATCH = 256

EvalStep = Callable[[Variables, jax.Array, jax.Array], jax.Array]


def make_eval_step(network: Network, normalize: Callable[[jax.Array], jax.Array]) -> EvalStep:
    """Builds `(variables, inputs, labels) -> [T]`, the number of right predictions after 1…T steps, to be jitted.

    A label of −1 never counts as right: with it inputs are repeated that fill up the last batch.

    Args:
      network: in inference form.
      normalize: what inputs go through, see `preprocess.make_normalize`.
    """

    def eval_step(variables: Variables, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        return rollout.accuracy_per_step(rollout.rollout(network, variables, normalize(inputs)), labels)

    return eval_step


def accuracy_per_step(eval_step: EvalStep, variables: Variables, source: Source, mesh: Mesh) -> list[float]:
    """Accuracy on a split after 1…T time-steps, each in [0, 1].

    Args:
      eval_step: from `make_eval_step`, jitted.
      variables: parameters and statistics.
      source: what to evaluate on; not empty.
      mesh: the devices that share a batch.
    """
    num_inputs = source.shape[0]
    right: np.ndarray | int = 0
    for inputs, labels, _ in filled_batches(source, np.arange(num_inputs), mesh):
        right = right + np.asarray(eval_step(variables, inputs, labels), np.int64)
    return [int(count) / num_inputs for count in np.asarray(right)]


def filled_batches(source: Source, indices: np.ndarray, mesh: Mesh) -> Iterator[tuple[jax.Array, jax.Array, int]]:
    """Inputs and labels in batches of one size, on the devices, and how many of each are not there to fill it up.

    The last batch is filled up with its own inputs and labels of −1.

    Args:
      source: where they are read.
      indices: which, `[N]`; not empty.
      mesh: the devices that share a batch.
    """
    size = -(-min(EVAL_BATCH, len(indices)) // mesh.size) * mesh.size
    for start in range(0, len(indices), size):
        inputs, labels = source.read(indices[start : start + size])
        count = len(labels)
        inputs = inputs[np.arange(size) % count]  # not blank: codes of a batch depend on all of it
        labels = np.pad(labels, (0, size - count), constant_values=-1)
        yield (*place((inputs, labels), batch_sharding(mesh)), count)
