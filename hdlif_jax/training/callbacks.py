"""What a run tells the outside, and how it ends."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax import nn
from hdlif_jax.training.checkpoint import Checkpoints
from hdlif_jax.training.steps import TrainState


class TrainingDiverged(ArithmeticError):  # noqa: N818 - named for what happened
    """The loss is no longer finite."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """The run was asked to stop; its last checkpoint is complete."""


class Callbacks(NamedTuple):
    """What a run tells the outside while it trains; every function may do nothing, and by default all but one do.

    Attributes:
      on_step: `(record)` of each batch, one call to the device late: step, epoch, loss, accuracy, learning_rate.
      on_epoch: `(record)` after each epoch: step, epoch, train_loss, train_accuracy, validation_accuracy_per_step
        (after 1…T steps; None without a validation split), recalibrated (whether these are of statistics estimated
        anew), firing_rates, images_per_second.
      on_state: `(step, variables)` before the first batch and after each call to the device, which may hold several
        batches; the arrays are given away afterwards.
      on_warning: `(message)`, such as of layers that never fire, and of parameters that the rule does not reach; a
        Python warning by default.
      should_stop: `(step) -> bool`, asked after each call to the device; at the end of an epoch the epoch is finished
        first, and at the end of the run the run is.
    """

    on_step: Callable[[dict[str, Any]], None] = lambda record: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda record: None
    on_state: Callable[[int, nn.Variables], None] = lambda step, variables: None
    on_warning: Callable[[str], None] = lambda message: warnings.warn(message, stacklevel=2)
    should_stop: Callable[[int], bool] = lambda step: False


def of_epoch(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the batches of an epoch, as `on_step` was told of them, say of it."""
    means = {f"train_{name}": float(np.mean([record[name] for record in records])) for name in ("loss", "accuracy")}
    return {name: records[-1][name] for name in ("step", "epoch")} | means


class Trained(NamedTuple):
    """What a run leaves.

    Attributes:
      state: the trained state.
      history: what `on_epoch` was told, of each epoch of this call.
    """

    state: TrainState
    history: tuple[dict[str, Any], ...]


class Nowhere:
    """Takes the place of `Checkpoints` for a run that keeps none."""

    def save(self, state: TrainState, accuracy: float | None = None) -> None:
        """Does nothing."""

    def wait(self) -> None:
        """Does nothing."""

    def steps(self) -> list[int]:
        """None."""
        return []


def diverged(what: str, checkpoints: Checkpoints | Nowhere) -> TrainingDiverged:
    """The error of what is not finite, which says what checkpoint to go back to, and what to do."""
    checkpoints.wait()
    if isinstance(checkpoints, Nowhere):
        return TrainingDiverged(f"{what}; lower the learning rate")
    saved = checkpoints.steps()
    good = f"the last good checkpoint is that of step {saved[-1]}" if saved else "no checkpoint was written yet"
    return TrainingDiverged(f"{what}; {good}; lower the learning rate")
