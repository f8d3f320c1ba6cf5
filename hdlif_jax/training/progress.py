"""What a run shows in a notebook: a line that moves and curves that grow."""

import io
import math
import time
from typing import Any

from hdlif_jax.checks import Positive, check_arguments
from hdlif_jax.training.callbacks import Callbacks

SHOWN = ("epoch", "train_loss", "train_accuracy")


@check_arguments
def notebook_progress(every_seconds: Positive = 1.0) -> Callbacks:
    """Callbacks that show a line for the batch and, after each epoch, curves of loss and accuracy.

    `trainer.fit(callbacks=training.notebook_progress())` in a notebook; elsewhere the line of each epoch is printed.

    Args:
      every_seconds: how long the line stays as it is, at least.

    Raises:
      ModuleNotFoundError: in a notebook, matplotlib is not installed (`hdlif_jax[viz]`).
    """
    return _Shown(every_seconds).callbacks() if _in_notebook() else Callbacks(on_epoch=_print, on_warning=print)


def line(record: dict[str, Any]) -> str:
    """A record of a batch or of an epoch in one line."""
    words = [f"epoch {record['epoch']}, step {record['step']}"]
    for name, title in (("loss", "loss"), ("train_loss", "loss"), ("accuracy", "accuracy")):
        words += [f"{title} {record[name]:.3f}"] if name in record else []
    if "train_accuracy" in record:
        words.append(f"accuracy {record['train_accuracy']:.3f}")
        validation = record["validation_accuracy_per_step"]
        words += [f"validation {validation[-1]:.3f}"] if validation else []
        words.append(f"{record['images_per_second']:,.0f} images/s")
    return ", ".join(words)


class _Shown:
    def __init__(self, every_seconds: float):
        from IPython import display

        self._display: Any = vars(display)["display"]
        self._image: Any = vars(display)["Image"]
        self._every, self._last = every_seconds, 0.0
        self._history: list[dict[str, Any]] = []
        self._line = self._display({"text/plain": "compiling …"}, raw=True, display_id=True)
        self._curves: Any = None

    def callbacks(self) -> Callbacks:
        return Callbacks(on_step=self._step, on_epoch=self._epoch, on_warning=print)

    def _step(self, record: dict[str, Any]) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._say(record)

    def _say(self, record: dict[str, Any]) -> None:
        self._line.update({"text/plain": line(record)}, raw=True)

    def _epoch(self, record: dict[str, Any]) -> None:
        from hdlif_jax import viz

        self._history.append(record)
        self._say(record)
        epochs, loss, training = ([entry[name] for entry in self._history] for name in SHOWN)
        accuracies = {"training": training}
        if any(entry["validation_accuracy_per_step"] for entry in self._history):
            accuracies["validation"] = [
                (entry["validation_accuracy_per_step"] or [math.nan])[-1] for entry in self._history
            ]
        picture = io.BytesIO()
        viz.learning(epochs, loss, accuracies).savefig(picture, format="png")
        if self._curves is None:
            self._curves = self._display(self._image(picture.getvalue()), display_id=True)
        else:
            self._curves.update(self._image(picture.getvalue()))


def _in_notebook() -> bool:
    try:
        from IPython.core import getipython
    except ModuleNotFoundError:
        return False
    find: Any = getipython.get_ipython
    shell = find()
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def _print(record: dict[str, Any]) -> None:
    print(line(record))
