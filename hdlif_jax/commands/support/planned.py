"""Runs that are to be done, one after the other, each in a process of its own, with one bar for all of them."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.own_process import in_own_process
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json

Work = Callable[[TrainConfig, pathlib.Path], None]
Update = Callable[[float, str], None]  # of the bar: runs that are done, and what is on


class Planned(NamedTuple):
    """A run of a study."""

    variant: str
    seed: int
    config: TrainConfig
    path: pathlib.Path


def do_all(planned: Sequence[Planned], work: Work, is_done: Callable[[pathlib.Path], bool]) -> None:
    """Does what is left of some runs, one after the other; what each prints goes to a file beside it.

    Args:
      planned: the runs; a directory may be new, unfinished or done.
      work: what is to be done of a run, from its configuration and directory; a function of a module.
      is_done: whether a directory needs no more of it.

    Raises:
      CommandError: a directory holds something else, or a run failed.
      Stopped: a signal asked for it; the run that was on wrote a checkpoint.
    """
    for run in planned:
        if is_begun(run.path) and RunDirectory(run.path).config() != run.config:
            raise CommandError(f"{run.path} holds a run of another configuration; choose another folder")
    with _bar(len(planned)) as update:
        for index, run in enumerate(planned):
            what = f"{run.variant}, seed {run.seed}"
            if is_done(run.path):
                update(index + 1, f"{what}: done before")
                continue
            _do(run, what, work, functools.partial(_show, update, index, what, Epochs(run.path, run.config.epochs)))
            done = f"{what}: test accuracy {100 * read_json(run.path / 'summary.json')['test_accuracy']:.2f} %"
            update(index + 1, done)
            if not console.is_interactive:
                console.print(done)


def _do(run: Planned, what: str, work: Work, watch: Callable[[], None]) -> None:
    run.path.parent.mkdir(parents=True, exist_ok=True)
    log = log_of(run.path)
    try:
        in_own_process(functools.partial(work, run.config, run.path), log, watch)
    except CommandError as error:
        raise CommandError(f"{run.path}: {error} (all of it in {log})") from None
    except Stopped as stop:
        raise Stopped(f"{what}: {stop}; call again to go on", stop.status) from None


def _show(update: Update, done: int, what: str, epochs: Epochs) -> None:
    update(done + epochs.share(), f"{what}: {epochs}")


def is_begun(path: pathlib.Path) -> bool:
    """Whether a directory is a run's."""
    return (path / "config.json").is_file()


def log_of(path: pathlib.Path) -> pathlib.Path:
    """Where a run's process prints, beside its directory."""
    return path.with_name(f"{path.name}.log")


class Epochs:
    """How far a run is, by what it logs; reads only what is new there.

    Args:
      path: of the run.
      total: epochs of the whole run.
    """

    def __init__(self, path: pathlib.Path, total: int):
        self._file, self._total, self._read = RunDirectory(path).metrics, total, 0
        self._last: dict[str, Any] | None = None

    def share(self) -> float:
        """Epochs that are done, as a share of all."""
        self._look()
        return 0.0 if self._last is None else float(self._last["epoch"] / self._total)

    def __str__(self) -> str:
        last = self._last
        if last is None:
            return "starting"
        if last["epoch"] >= self._total:
            return "testing, and what comes after"
        return f"epoch {last['epoch']}/{self._total}, training accuracy {100 * last['train_accuracy']:.1f} %"

    def _look(self) -> None:
        if not self._file.exists():
            return
        if self._file.stat().st_size < self._read:  # cut back, as a run does that goes on
            self._read, self._last = 0, None
        with self._file.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                if b'"kind": "epoch"' in line:
                    self._last = json.loads(line)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Update]:
    """Yields what moves it."""
    import rich.progress

    columns = (
        rich.progress.TextColumn("{task.completed:.1f}/{task.total:.0f} runs"),
        rich.progress.BarColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.fields[what]}"),
    )
    with rich.progress.Progress(*columns, console=console, disable=not console.is_interactive) as progress:
        task = progress.add_task("runs", total=total, what="starting")
        yield lambda done, what: progress.update(task, completed=done, what=what)
