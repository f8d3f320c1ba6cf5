"""Anytime inference: stop as soon as the prediction is sure (Fig. 4: on static images the first step nearly is)."""

from typing import NamedTuple

import jax
import numpy as np

from hdlif_jax.checks import Probability, check
from hdlif_jax.deploy.runtime import Deployed


class Exits(NamedTuple):
    """Predictions and when they were made.

    Attributes:
      predictions: class index `[B]`.
      steps: time-steps used, 1…T, `[B]`.
    """

    predictions: np.ndarray
    steps: np.ndarray


class TradeOff(NamedTuple):
    """What one threshold costs and gives.

    Attributes:
      threshold: the margin at which inference stops.
      mean_steps: time-steps used, on average.
      accuracy: share of right predictions.
    """

    threshold: float
    mean_steps: float
    accuracy: float


def margins(logits: np.ndarray) -> np.ndarray:
    """How sure the prediction after 1…T steps is: the gap between the two largest class probabilities.

    Args:
      logits: `[T, B, K]` of each step; the prediction after t steps is that of the mean of the first t.

    Returns:
      `[T, B]`, in [0, 1].
    """
    logits = np.asarray(logits, np.float64)
    means = np.cumsum(logits, 0) / np.arange(1, len(logits) + 1)[:, None, None]
    exponentials = np.exp(means - means.max(-1, keepdims=True))
    probabilities = np.sort(exponentials / exponentials.sum(-1, keepdims=True), -1)
    return probabilities[..., -1] - (probabilities[..., -2] if logits.shape[-1] > 1 else 0)


def exits(logits: np.ndarray, threshold: float) -> Exits:
    """Where inference would have stopped, found from the logits of all steps.

    Args:
      logits: `[T, B, K]`.
      threshold: stop when the margin reaches it, at the latest after T steps.

    Raises:
      TypeError: a threshold that is no number.
      ValueError: one outside [0, 1], or logits of another rank.
    """
    check("threshold", threshold, Probability, 0.5)
    if np.ndim(logits) != 3:
        raise ValueError(f"logits have shape {np.shape(logits)}; expected [T, B, K], those of all time-steps")
    sure = margins(logits) >= threshold
    sure[-1] = True
    stop = np.argmax(sure, 0)
    sums = np.cumsum(np.asarray(logits, np.float64), 0)
    return Exits(np.argmax(sums[stop, np.arange(sums.shape[1])], -1), stop + 1)


def trade_off(logits: np.ndarray, labels: np.ndarray, thresholds: tuple[float, ...]) -> list[TradeOff]:
    """Mean steps used against accuracy, per threshold.

    Args:
      logits: `[T, N, K]` of a test set.
      labels: `[N]` integers.
      thresholds: margins in [0, 1].

    Raises:
      TypeError: labels that are no integers, or as `exits`.
      ValueError: labels of another shape or of no class, or as `exits`.
    """
    labels = checked_labels(labels, *np.shape(logits)[1:])
    result = []
    for threshold in thresholds:
        predictions, steps = exits(logits, threshold)
        result.append(TradeOff(threshold, float(steps.mean()), float((predictions == labels).mean())))
    return result


def run(network: Deployed, inputs: np.ndarray, threshold: float) -> np.ndarray:
    """Runs a network step by step, and no further than the least sure of its inputs needs.

    Args:
      network: a loaded artifact.
      inputs: as the network itself takes them. A step is computed for all of them, or not at all, so time is
        saved where the batch is small.
      threshold: stop when all margins have reached it.

    Returns:
      Logits of the steps that ran, `[≤ T, B, K]`: `exits` tells the predictions.

    Raises:
      TypeError: inputs that are no array, or traced ones: how many steps run depends on their values.
      ValueError: a threshold outside [0, 1], or inputs of another type or shape.
    """
    check("threshold", threshold, Probability, 0.5)
    network.check_inputs(inputs)
    if isinstance(inputs, jax.core.Tracer):
        raise TypeError(
            "how many steps run depends on the inputs, and those are traced; within jit and vmap call network(inputs), "
            "and exits outside"
        )
    state = network.init_state(len(inputs))
    logits: list[np.ndarray] = []
    for t in range(network.manifest.num_steps):
        state, step_logits = network.step(state, inputs if network.manifest.input_kind == "image" else inputs[:, t])
        logits.append(np.asarray(step_logits))
        if (margins(np.stack(logits)).max(0) >= threshold).all():
            break
    return np.stack(logits)


def checked_labels(labels: np.ndarray, num_inputs: int, num_classes: int) -> np.ndarray:
    """Labels `[N]` as an array, if they are those of logits `[T, N, K]`; others would be compared all the same.

    Raises:
      TypeError: labels that are no integers.
      ValueError: labels of another shape or of no class.
    """
    labels = np.asarray(labels)
    if labels.shape != (num_inputs,):
        raise ValueError(f"labels have shape {labels.shape}; expected [{num_inputs}], for distributions their argmax")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels are {labels.dtype}; give integers 0…{num_classes - 1}")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        place = wrong[0]
        raise ValueError(f"label {labels[place]} at place {place} is no class of {num_classes}, 0…{num_classes - 1}")
    return labels
