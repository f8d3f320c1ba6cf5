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
from hdlif_jax.checks import check
from hdlif_jax.data import Source
from hdlif_jax.deploy.anytime import checked_labels
from hdlif_jax.deploy.export import Preprocess, normalization
from hdlif_jax.deploy.format.artifact import read
from hdlif_jax.deploy.format.manifest import Arithmetic
from hdlif_jax.deploy.runtime import Deployed

BATCH = 64  #: inputs that are compared at once
TOLERANCE = 0.002  #: of accuracy: folding rounds differently, and a current at the edge of a level may change it
FEW = 2  #: inputs that may move for that reason in a small test set, where one alone is more than `TOLERANCE`
AT_MOST = 0.02  #: of accuracy, of a test set of any size
ROUNDING = 1e-4  #: of the largest logit: sums in another order are within this, and a spike of another level is not

LogitsFunction = Callable[[np.ndarray], Any]  #: inputs [B, ...] or sequences [B, T, ...] to logits [T, B, K]
Progress = Callable[[int], None]  #: takes the number of inputs that are done


def unseen(done: int) -> None:
    """Shows no progress."""


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
      labels: `[N]` of the inputs.
    """

    arithmetic: Arithmetic
    accuracy_per_step: list[float]
    comparisons: dict[Arithmetic, Comparison]
    logits: np.ndarray
    labels: np.ndarray


def verify(
    model: nn.SpikingNetwork,
    directory: pathlib.Path | str,
    source: Source,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    variables: nn.Variables | None = None,
    tolerance: float | None = None,
    progress: Progress = unseen,
) -> Verification:
    """Compares an artifact with the network that it was made of.

    Args:
      model: the network.
      directory: of the artifact.
      source: inputs and labels, such as a dataset's test set, or for a quick proof `data.stratified` of it.
      mean: per channel, as the network was trained: of uint8 inputs in [0, 1], of floats in their own unit; for other
        inputs than normalised ones use `compare(logits_function(model, preprocess), ...)`.
      std: per channel, likewise.
      variables: its trained parameters and statistics; those of the model by default.
      tolerance: how far accuracies may be apart; None is 0.002, or in a small test set two inputs.
      progress: called with the number of inputs compared so far.

    Raises:
      TypeError: a progress that cannot be called.
      ValueError: they differ by more, or there is no input.
      ArtifactError: the artifact is damaged.
    """
    network = logits_function(
        model, normalization(mean, std, "uint8" if source.dtype == np.uint8 else "float32"), variables
    )
    return compare(network, directory, source, tolerance=tolerance, progress=progress)


def compare(
    network: LogitsFunction,
    directory: pathlib.Path | str,
    source: Source,
    *,
    tolerance: float | None = None,
    progress: Progress = unseen,
) -> Verification:
    """Compares an artifact, in each arithmetic, with any function of the same inputs; see `verify`.

    Each batch is read once, and of its logits only those stay that are given back.
    """
    check("progress", progress, Callable[..., Any])
    if not source.shape[0]:
        raise ValueError("there are no inputs to compare on; give at least one")
    artifact = read(pathlib.Path(directory))
    labels = checked_labels(source.labels, source.shape[0], len(artifact.manifest.class_names))
    default = Deployed(artifact)
    paths: tuple[Arithmetic, ...] = ("integer", "float") if artifact.manifest.integer_layers else ("float",)
    deployed = [default if path == default.arithmetic else Deployed(artifact, path) for path in paths]
    functions: list[LogitsFunction] = [network, *deployed]
    predictions: list[list[np.ndarray]] = [[] for _ in functions]
    differences: list[list[np.ndarray]] = [[] for _ in deployed]
    chosen, sizes, done = list[np.ndarray](), list[float](), 0
    for inputs, count in _batches(source):
        logits = [np.asarray(function(inputs))[:, :count] for function in functions]
        for classes, found in zip(predictions, logits, strict=True):
            classes.append(_predictions(found))
        expected, *others = logits
        for apart, found in zip(differences, others, strict=True):
            apart.append(np.abs(found - expected).max((0, 2)))
        chosen.append(others[paths.index(default.arithmetic)])
        sizes.append(np.abs(expected).max())
        done += count
        progress(done)
    answers = np.concatenate(chosen, 1)
    if tolerance is None:
        tolerance = max(TOLERANCE, min(AT_MOST, (FEW + 0.5) / len(labels)))  # half of one is for rounding
    before_classes, *after_classes = (np.concatenate(rows, 1) for rows in predictions)
    before, largest = _shares(before_classes, labels), float(np.max(sizes))
    comparisons: dict[Arithmetic, Comparison] = {}
    for arithmetic, predicted, rows in zip(paths, after_classes, differences, strict=True):
        after, difference = _shares(predicted, labels), np.concatenate(rows)
        comparisons[arithmetic] = Comparison(
            after,
            float(difference.max()),
            largest,
            int((difference > ROUNDING * largest).sum()),
            int((predicted[-1] != before_classes[-1]).sum()),
        )
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) > tolerance:
            raise ValueError(
                f"the artifact in {directory} is wrong: in {arithmetic} arithmetic its accuracies are {after}, those "
                f"of the network {before}; was it made of this one, and are your own fold rules right?"
            )
    return Verification(default.arithmetic, before, comparisons, answers, labels)


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


def accuracies(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Accuracy after 1…T steps.

    Args:
      logits: `[T, N, K]`.
      labels: `[N]` integers.

    Raises:
      TypeError: labels that are no integers.
      ValueError: labels of another shape or of no class.
    """
    return _shares(_predictions(logits), checked_labels(labels, *np.shape(logits)[1:]))


def _predictions(logits: np.ndarray) -> np.ndarray:
    """Classes `[T, N]` after 1…T steps."""
    classes: np.ndarray = np.cumsum(logits, 0).argmax(-1)
    return classes


def _shares(predictions: np.ndarray, labels: np.ndarray) -> list[float]:
    return [float(right) for right in (predictions == labels).mean(-1)]


def _batches(source: Source) -> Iterator[tuple[np.ndarray, int]]:
    """Inputs in batches of one size, and how many of each count."""
    num_inputs = source.shape[0]
    size = min(BATCH, num_inputs)
    for start in range(0, num_inputs, size):
        inputs = source.read(np.arange(start, min(start + size, num_inputs))).inputs
        yield np.concatenate([inputs, np.repeat(inputs[-1:], size - len(inputs), 0)]), len(inputs)
