"""What a trained network makes of test inputs, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import hdlif_jax as hd
from hdlif_jax.commands.make import make_normalize
from hdlif_jax.commands.support.execution import one_device

if TYPE_CHECKING:
    import jax
    from flax import nnx

    from hdlif_jax.commands.support.runs import Run
    from hdlif_jax.data import Dataset

RATED = 64  # inputs that firing rates by step are counted on


class Seen(NamedTuple):
    """Of test inputs.

    Attributes:
      num_test: how many there are.
      labels: `[N]` of those that were looked at.
      logits: `[T, N, K]`, the mean of the first 1…T steps; the prediction is the argmax.
      rates: by layer of neurons `[T]`, the share that fires at a step; none where they cannot be told.
      examples: `[E]`, which of the N are shown.
      inputs: `[E, ...]`, those as the dataset has them.
      notes: what could not be told, and why.
    """

    num_test: int
    labels: np.ndarray
    logits: np.ndarray
    rates: dict[str, np.ndarray]
    examples: np.ndarray
    inputs: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def predictions(self) -> np.ndarray:
        """`[T, N]`."""
        return np.asarray(self.logits.argmax(-1))

    @property
    def accuracy(self) -> np.ndarray:
        """`[T]`, after 1…T steps, of those that were looked at."""
        return np.asarray((self.predictions == self.labels).mean(1))

    def confusion(self) -> np.ndarray:
        """`[T, K, K]`, how many of a class (rows) are predicted as another (columns) after 1…T steps."""
        steps, _, classes = self.logits.shape
        counts = np.zeros((steps, classes, classes), int)
        for step, predicted in enumerate(self.predictions):
            np.add.at(counts[step], (self.labels, predicted), 1)
        return counts

    def probabilities(self) -> np.ndarray:
        """`[T, E, K]`, of the examples; NaN where logits are not finite."""
        logits = self.logits[:, self.examples].astype(np.float64)
        with np.errstate(invalid="ignore"):
            exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))


def see(run: Run, dataset: Dataset, images: int, examples: int) -> Seen:
    """Runs the network on test inputs, evenly spread where not all are taken.

    Args:
      run: its network.
      dataset: of the run.
      images: how many inputs are looked at, at most.
      examples: how many of them are shown, at most.
    """
    import jax

    normalize, network = make_normalize(run.config, dataset), hd.nn.inference_form(run.model)
    hd.training.match.check_match(dataset, run.model, normalize)
    num_test = dataset.test.shape[0]
    indices = np.unique(np.linspace(0, num_test - 1, min(images, num_test)).astype(int))

    @jax.jit
    def logits_of(variables: Any, inputs: jax.Array) -> jax.Array:
        return hd.rollout.rollout(network, variables, normalize(inputs))

    logits, labels = [], []
    for inputs, of_batch, count in hd.training.evaluate.filled_batches(dataset.test, indices, one_device()):
        sums = np.cumsum(np.asarray(logits_of(run.variables, inputs)[:, :count]), 0)
        logits.append(sums / np.arange(1, len(sums) + 1, dtype=np.float32)[:, None, None])
        labels.append(np.asarray(of_batch[:count]))
    means, true = np.concatenate(logits, 1), np.concatenate(labels)
    chosen = choose(means.argmax(-1), true, examples)
    shown, _ = dataset.test.read(indices[chosen] if len(chosen) else indices[:1])
    rates, notes = {}, []
    try:
        rates = _rates(run, normalize, dataset.test.read(indices[:RATED])[0])
    except ValueError as error:  # layers that are called several times a step
        notes.append(f"Firing rates by time-step were not told: {error}")
    infinite = int(np.sum(~np.isfinite(means).all((0, 2))))
    if infinite:
        notes.append(f"Logits of {infinite:,} test inputs are not finite: what is predicted for them means nothing.")
    if len(true) < num_test:
        notes.append(f"Predictions are of {len(true):,} of {num_test:,} test inputs.")
    return Seen(num_test, true, means, rates, chosen, np.asarray(shown)[: len(chosen)], tuple(notes))


def choose(predictions: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Which inputs tell most: a third wrong, a third that were right late, the others right from the first step on.

    Args:
      predictions: `[T, N]`.
      labels: `[N]`.
      count: how many, at most.

    Returns:
      `[E]`, in rising order.
    """
    wrong = predictions[-1] != labels
    late = ~wrong & np.any(predictions != labels, 0)
    groups = [np.flatnonzero(group) for group in (wrong, late, ~wrong & ~late)]
    taken = [group[_spread(len(group), min(len(group), count // 3))] for group in groups]
    chosen = np.concatenate(taken).astype(int)
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    more = rest[_spread(len(rest), min(len(rest), count - len(chosen)))]
    return np.sort(np.concatenate([chosen, more]))


def _spread(available: int, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, available - 1, count).astype(int)) if count else np.array([], int)


def _rates(run: Run, normalize: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The share of each layer's neurons that fire at each step."""
    import jax
    import jax.numpy as jnp

    network = hd.nn.inference_form(run.model)

    def choose_layer(path: str, module: nnx.Module) -> bool:
        del path
        return isinstance(module, hd.nn.NeuronCell)

    def observe(path: str, module: nnx.Module, arguments: tuple[Any, ...], result: Any) -> Any:
        del path, module, arguments
        return jnp.mean(result[1] != 0)

    @jax.jit
    def rates_of(variables: Any, inputs: jax.Array) -> dict[str, Any]:
        return hd.rollout.observed(network, variables, normalize(inputs), choose_layer, observe)

    found = rates_of(run.variables, jnp.asarray(inputs))
    return {layer: np.asarray(of_layer) for layer, of_layer in found.items()}
