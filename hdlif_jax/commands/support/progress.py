"""Live progress: a bar on a terminal that can redraw, plain lines elsewhere; and what is waited for meanwhile."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import rich.live
import rich.progress
import rich.table
import rich.text

from hdlif_jax.commands.support.cli import console

COMPILING = "compiling the training step"
SETTLED = 2.0  # seconds after which a rate says something


@contextlib.contextmanager
def phase(what: str) -> Iterator[None]:
    """Says what a terminal waits for, such as "reading digits", as long as it lasts; a file is told nothing."""
    if not console.is_interactive:
        yield
        return
    with console.status(f"{what} …"):
        yield


class Progress:
    """Shows steps and epochs of a run: the bar and the time left in one line, the figures in the next.

    Args:
      total_steps: of the whole run.
      first_step: where it begins; not 0 when it is resumed.
      batch_size: to count images.
      epochs: of the whole run.
    """

    def __init__(self, total_steps: int, first_step: int, batch_size: int, epochs: int):
        self.total_steps, self.batch_size, self.epochs = total_steps, batch_size, epochs
        self.started: float | None = None  # when the first batches were done, for compiling tells nothing of the rest
        self.done_before = first_step
        self.validation = ""
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[left]:>7} left"),
            console=console,
            expand=True,
        )
        first_epoch = first_step * epochs // total_steps + 1
        self.task = self.bar.add_task(
            "train", total=total_steps, completed=first_step, epoch=first_epoch, left="-:--:--"
        )
        self.figures = rich.text.Text(COMPILING, no_wrap=True, overflow="ellipsis")
        self.live = rich.live.Live(get_renderable=self._shown, console=console)

    def __enter__(self) -> "Progress":
        if console.is_interactive:
            self.live.start()
        else:
            console.print(COMPILING)
        return self

    def __exit__(self, *_: Any) -> None:
        self.live.stop()

    def _shown(self) -> rich.table.Table:
        lines = rich.table.Table.grid(expand=True)
        lines.add_row(self.bar)
        lines.add_row(self.figures)
        return lines

    def step(self, record: dict[str, Any]) -> None:
        """Moves the bar."""
        if self.started is None:
            self.started, self.done_before = time.perf_counter(), record["step"]
        rate = self._rate(record["step"])
        shown = f"  {rate * self.batch_size:,.0f} images/s" if rate else ""
        self.figures.plain = f"loss {record['loss']:.3f}  accuracy {record['accuracy']:.3f}{self.validation}{shown}"
        left = self._left(record["step"]) if rate else "-:--:--"
        self.bar.update(self.task, completed=record["step"], epoch=record["epoch"], left=left)

    def epoch(self, record: dict[str, Any]) -> None:
        """Prints the epoch's figures where there is no bar."""
        validation = record["validation_accuracy_per_step"]
        self.validation = f"  validation {validation[-1]:.4f}" if validation else ""
        if not console.is_interactive:
            left = f"  {self._left(record['step'])} left" if self._rate(record["step"]) else ""
            console.print(
                f"epoch {record['epoch']}/{self.epochs}  loss {record['train_loss']:.4f}  "
                f"accuracy {record['train_accuracy']:.4f}{self.validation}  "
                f"{record['images_per_second']:,.0f} images/s{left}"
            )

    def _rate(self, step: int) -> float:
        """Batches a second; 0 where it is too early to say."""
        seconds = 0.0 if self.started is None else time.perf_counter() - self.started
        return (step - self.done_before) / seconds if seconds >= SETTLED else 0.0

    def _left(self, step: int) -> str:
        seconds = (self.total_steps - step) / self._rate(step)
        return str(datetime.timedelta(seconds=round(seconds)))

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


@contextlib.contextmanager
def images_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of images with their rate, which the function that it gives moves to so many; a file is told nothing."""
    if not console.is_interactive:
        yield lambda done: None
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[rate]}"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total, rate="compiling")
        first: tuple[int, float] | None = None  # when the first were done, for compiling tells nothing of the rest

        def move(done: int) -> None:
            nonlocal first
            now = time.perf_counter()
            if first is None:
                first = done, now
            rate = (done - first[0]) / max(now - first[1], 1e-9)
            bar.update(task, completed=done, rate=f"{rate:,.0f} images/s" if rate else "")

        yield move
