"""Live progress: a bar on a terminal; of a run, plain lines elsewhere."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import rich.progress

from hdlif_jax.commands.support.cli import console


class Progress:
    """Shows steps and epochs of a run.

    Args:
      total_steps: of the whole run.
      first_step: where it begins; not 0 when it is resumed.
      batch_size: to count images.
      epochs: of the whole run.
    """

    def __init__(self, total_steps: int, first_step: int, batch_size: int, epochs: int):
        self.first_step, self.batch_size, self.epochs = first_step, batch_size, epochs
        self.started = time.perf_counter()
        self.accuracy = ""
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[figures]}"),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("train", total=total_steps, completed=first_step, epoch=1, figures="")

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def step(self, record: dict[str, Any]) -> None:
        """Moves the bar."""
        seconds = time.perf_counter() - self.started
        rate = (record["step"] - self.first_step) * self.batch_size / seconds
        figures = f"loss {record['loss']:.3f} acc {record['accuracy']:.3f}{self.accuracy} {rate:,.0f} images/s"
        self.bar.update(self.task, completed=record["step"], epoch=record["epoch"], figures=figures)

    def epoch(self, record: dict[str, Any]) -> None:
        """Prints the epoch's figures where there is no bar."""
        validation = record["validation_accuracy_per_step"]
        shown = f" validation {validation[-1]:.4f}" if validation else ""
        self.accuracy = shown
        if console.is_terminal:
            return
        seconds = time.perf_counter() - self.started
        done = record["step"] - self.first_step
        left = seconds / done * (self.bar.tasks[0].total - record["step"]) if done else 0.0
        console.print(
            f"epoch {record['epoch']}/{self.epochs}  loss {record['train_loss']:.4f}  "
            f"accuracy {record['train_accuracy']:.4f} {shown}  "
            f"{record['images_per_second']:,.0f} images/s  {left:.0f} s left"
        )

    def warning(self, message: str) -> None:
        """Prints a warning above the bar."""
        console.print(f"[yellow]warning:[/yellow] {message}")


def show_progress(items: Iterable[Any], description: str, total: int | None) -> Iterator[Any]:
    """Passes items on and shows a bar."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=description)
