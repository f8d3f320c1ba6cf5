"""Proof of a deployment: the artifact, read back from disk, against the trained network, on a whole test set.

Folded arithmetic rounds in another order than the network that was trained. Where a current lies at the edge of a
level, the spike may come out one level higher or lower, and the logits differ by more than rounding. Neither is wrong;
from the deployment on, the folded arithmetic is the definition, and these are the inputs for which that matters.
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn, rollout
from hdlif_jax.data import Source
from hdlif_jax.deploy.anytime import checked_labels
from hdlif_jax.deploy.export import Preprocess, normalization
from hdlif_jax.deploy.format.manifest import Arithmetic
from hdlif_jax.deploy.runtime import load

BATCH = 64  #: inputs that are compared at once
TOLERANCE = 0.002  #: of accuracy: folding rounds differently, and a current at the edge of a level may change it
FEW = 2  #: inputs that may move for that reason in a small test set, where one alone is more than `TOLERANCE`
AT_MOST = 0.02  #: of accuracy, of a test set of any size
ROUNDING = 1e-4  #: of the largest logit: sums in another order are within this, and a spike of another level is not

LogitsFunction = Callable[[np.ndarray], Any]  #: inputs [B, ...] or sequences [B, T, ...] to logits [T, B, K]


class Comparison(NamedTuple):
    """The artifact in one arithmetic, beside the network.

    Attributes:
      accuracy_per_step: of the artifact, after 1…T steps.
      max_logit_difference: the largest, over all inputs, steps and classes.
      largest_logit: of the network, in absolute value.
      inputs_at_an_edge: number of inputs with a logit that differs by more than `ROUNDING` of the largest one.
      other_predictions: number of inputs that the two classify differently.
    """

    accuracy_per_step: list[float]
    max_logit_difference: float
    largest_logit: float
    inputs_at_an_edge: int
    other_predictions: int


class Verification(NamedTuple):
    """What was found.

    Attributes:
      arithmetic: the one that this machine takes.
      accuracy_per_step: of the network, after 1…T steps.
      comparisons: by arithmetic.
      logits: `[T, N, K]` of the artifact in the arithmetic that this machine takes.
    """

    arithmetic: Arithmetic
    accuracy_per_step: list[float]
    comparisons: dict[Arithmetic, Comparison]
    logits: np.ndarray


def verify(
    model: nn.SpikingNetwork,
    directory: pathlib.Path | str,
    source: Source,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    variables: nn.Variables | None = None,
    tolerance: float | None = None,
) -> Verification:
    """Compares an artifact with the network that it was made of.

    Args:
      model: the network.
      directory: of the artifact.
      source: inputs and labels, such as a dataset's test set.
      mean: per channel, as the network was trained: of uint8 inputs in [0, 1], of floats in their own unit; for other
        inputs than normalised ones use `compare(logits_function(model, preprocess), ...)`.
      std: per channel, likewise.
      variables: its trained parameters and statistics; those of the model by default.
      tolerance: how far accuracies may be apart; None is 0.002, or in a small test set two inputs.

    Raises:
      ValueError: they differ by more.
      ArtifactError: the artifact is damaged.
    """
    network = logits_function(
        model, normalization(mean, std, "uint8" if source.dtype == np.uint8 else "float32"), variables
    )
    return compare(network, directory, source, tolerance=tolerance)


def compare(
    network: LogitsFunction, directory: pathlib.Path | str, source: Source, *, tolerance: float | None = None
) -> Verification:
    """Compares an artifact, in each arithmetic, with any function of the same inputs; see `verify`."""
    directory = pathlib.Path(directory)
    expected = all_logits(network, source)
    before = accuracies(expected, source.labels)
    if tolerance is None:
        tolerance = max(TOLERANCE, min(AT_MOST, (FEW + 0.5) / len(source.labels)))  # half of one is for rounding
    default = load(directory)
    comparisons: dict[Arithmetic, Comparison] = {}
    chosen = expected
    paths: tuple[Arithmetic, ...] = ("integer", "float") if default.manifest.integer_layers else ("float",)
    for arithmetic in paths:
        logits = all_logits(load(directory, arithmetic), source)
        after = accuracies(logits, source.labels)
        differences, largest = np.abs(logits - expected).max((0, 2)), np.abs(expected).max()
        comparisons[arithmetic] = Comparison(
            after,
            float(differences.max()),
            float(largest),
            int((differences > ROUNDING * largest).sum()),
            int((logits.sum(0).argmax(-1) != expected.sum(0).argmax(-1)).sum()),
        )
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) > tolerance:
            raise ValueError(
                f"the artifact in {directory} is wrong: in {arithmetic} arithmetic its accuracies are {after}, those "
                f"of the network {before}; was it made of this one, and are your own fold rules right?"
            )
        if arithmetic == default.arithmetic:
            chosen = logits
    return Verification(default.arithmetic, before, comparisons, chosen)


def logits_function(
    model: nn.SpikingNetwork, preprocess: Preprocess, variables: nn.Variables | None = None
) -> LogitsFunction:
    """The network in inference form as a compiled function of inputs.

    Args:
      model: the network.
      preprocess: inputs `[..., *input_shape]` to what the network was trained on.
      variables: its trained parameters and statistics; those of the model by default.
    """
    network = nn.inference_form(model)
    variables = nn.variables_of(model) if variables is None else variables

    @jax.jit
    def logits(variables: nn.Variables, inputs: jax.Array) -> jax.Array:
        is_sequence = inputs.ndim == len(network.input_shape) + 2
        by_time = jnp.moveaxis(inputs, 1, 0) if is_sequence else inputs
        return rollout.rollout(network, variables, preprocess(by_time))

    return lambda inputs: logits(variables, inputs)


def all_logits(function: LogitsFunction, source: Source) -> np.ndarray:
    """Logits `[T, N, K]` of all inputs, computed in batches of one size."""
    return np.concatenate([np.asarray(function(inputs))[:, :count] for inputs, count in _batches(source)], 1)


def accuracies(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Accuracy after 1…T steps.

    Args:
      logits: `[T, N, K]`.
      labels: `[N]` integers.

    Raises:
      TypeError: labels that are no integers.
      ValueError: labels of another shape or of no class.
    """
    labels = checked_labels(logits, labels)
    predictions = np.cumsum(logits, 0).argmax(-1)
    return [float(right) for right in (predictions == labels).mean(-1)]


def _batches(source: Source) -> Iterator[tuple[np.ndarray, int]]:
    """Inputs in batches of one size, and how many of each count."""
    num_inputs = source.shape[0]
    for start in range(0, num_inputs, BATCH):
        inputs = source.read(np.arange(start, min(start + BATCH, num_inputs))).inputs
        yield np.concatenate([inputs, np.repeat(inputs[-1:], BATCH - len(inputs), 0)]), len(inputs)
