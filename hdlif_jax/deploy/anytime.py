"""Anytime inference: stop as soon as the prediction is sure (Fig. 4: on static images the first step nearly is)."""

from typing import NamedTuple

import numpy as np

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
      ValueError: a threshold outside [0, 1].
    """
    _check(threshold)
    sure = margins(logits) >= threshold
    sure[-1] = True
    stop = np.argmax(sure, 0)
    sums = np.cumsum(np.asarray(logits, np.float64), 0)
    return Exits(np.argmax(sums[stop, np.arange(sums.shape[1])], -1), stop + 1)


def trade_off(logits: np.ndarray, labels: np.ndarray, thresholds: tuple[float, ...]) -> list[TradeOff]:
    """Mean steps used against accuracy, per threshold.

    Args:
      logits: `[T, N, K]` of a test set.
      labels: `[N]`.
      thresholds: margins in [0, 1].
    """
    result = []
    for threshold in thresholds:
        predictions, steps = exits(logits, threshold)
        result.append(TradeOff(threshold, float(steps.mean()), float((predictions == labels).mean())))
    return result


def run(network: Deployed, inputs: np.ndarray, threshold: float) -> np.ndarray:
    """Runs a network step by step, and no further than the least sure of its inputs needs.

    Args:
      network: a loaded artifact.
      inputs: uint8, as the network itself takes them. A step is computed for all of them, or not at all, so time is
        saved where the batch is small.
      threshold: stop when all margins have reached it.

    Returns:
      Logits of the steps that ran, `[≤ T, B, K]`: `exits` tells the predictions.

    Raises:
      ValueError: a threshold outside [0, 1], or inputs of another type or shape.
    """
    _check(threshold)
    network.check_inputs(inputs)
    state = network.init_state(len(inputs))
    logits: list[np.ndarray] = []
    for t in range(network.manifest.num_steps):
        state, step_logits = network.step(state, inputs if network.manifest.input_kind == "image" else inputs[:, t])
        logits.append(np.asarray(step_logits))
        if (margins(np.stack(logits)).max(0) >= threshold).all():
            break
    return np.stack(logits)


def _check(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold} must be in [0, 1]: it is a gap between two probabilities, e.g. 0.5")
