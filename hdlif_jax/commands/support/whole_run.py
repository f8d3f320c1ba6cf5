"""A run from its configuration to all of its figures: training, costs, the best checkpoint, deployment.

What is there already is not done again, so that a kill at any moment costs no more than what ran then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import shutil
import threading
from typing import Any

from hdlif_jax.commands.config import TrainConfig, from_dict, to_dict
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json, write_json

FIGURES = "figures.json"  # what was found besides summary.json; written last
COUNTED_IMAGES = 64


class WholeRun:
    """A run in a process of its own, whose memory is then its own, too, and which ends when this process does.

    Args:
      config: of the run.
      path: of the run.
      needs_proof: whether to deploy it and compare the artifact with the run on the whole test set.
    """

    def __init__(self, config: TrainConfig, path: pathlib.Path, needs_proof: bool = True):
        self.config, self.path = config, path
        arguments = (to_dict(config), str(path), needs_proof)
        self._process = multiprocessing.get_context("spawn").Process(target=_in_process, args=arguments)

    def start(self) -> None:
        """Starts it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._process.start()

    def wait(self, seconds: float) -> bool:
        """Waits so long at most; whether it has ended."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def stop(self) -> None:
        """Asks it to stop with a checkpoint, and waits for that."""
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()

    def check(self) -> None:
        """Looks at how it ended.

        Raises:
          CommandError: not well; has the last line that it printed.
        """
        if self._process.exitcode:
            log = log_of(self.path)
            lines = log.read_text().strip().splitlines() if log.exists() else []
            said = lines[-1].removeprefix("error: ") if lines else f"exit status {self._process.exitcode}"
            raise CommandError(f"{self.path}: {said} (all of it in {log})")


def log_of(path: pathlib.Path) -> pathlib.Path:
    """Where a run's process prints, beside its directory."""
    return path.with_name(f"{path.name}.log")


def is_whole(path: pathlib.Path) -> bool:
    """Whether a run has all of its figures."""
    return RunDirectory(path).is_finished and (path / FIGURES).is_file()


def _in_process(config: dict[str, Any], path: str, needs_proof: bool) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log_of(pathlib.Path(path)).open("a", buffering=1) as log, _output_to(log):
        command(lambda: complete(from_dict(TrainConfig, config), pathlib.Path(path), needs_proof))()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _output_to(file: Any) -> Any:
    with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def complete(config: TrainConfig, path: pathlib.Path, needs_proof: bool = True) -> None:
    """Does what is left to do of a run, and writes its figures.

    Args:
      config: of the run.
      path: of the run; new, unfinished or finished.
      needs_proof: see `WholeRun`.

    Raises:
      CommandError: a directory of something else, or what training raises.
      ValueError: data or options that do not go together.
    """
    from hdlif_jax.commands import costs, evaluate
    from hdlif_jax.commands.support.execution import Execution
    from hdlif_jax.commands.support.run import run

    directory = RunDirectory(path)
    if not directory.is_finished:
        execution = Execution()
        execution.start()
        resumed = (path / "config.json").is_file()
        if resumed and directory.config() != config:
            raise CommandError(f"{path} belongs to a run with another configuration; choose another --out")
        run(directory, config, resumed, execution)
    if not (path / "costs.json").is_file():
        arguments = costs.Arguments(str(path), images=COUNTED_IMAGES)
        write_json(path / "costs.json", costs.collect(costs.load_subject(str(path)), arguments)[0])
    best = evaluate.evaluate(path, "best") if config.data.validation_fraction else None
    figures = {"best_accuracy": best and best["test_accuracy"], "best_step": best and best["step"]}
    if needs_proof:
        figures |= proof(path)
    write_json(path / FIGURES, figures)


def proof(path: pathlib.Path) -> dict[str, Any]:
    """Size and accuracy of the run as an artifact, or why there is none."""
    from hdlif_jax.commands import deploy
    from hdlif_jax.commands.support.runs import load_dataset, load_run

    artifact = path / "artifact"
    shutil.rmtree(artifact, ignore_errors=True)  # of a kill
    found = load_run(path)
    try:
        dataset = load_dataset(found.config, found.info)
        folded, verification = deploy.write_and_verify(found, dataset, artifact)
    except (CommandError, TypeError, ValueError) as error:
        return {"deployment_refused": str(error)}
    arguments = deploy.Arguments(path, artifact, images=COUNTED_IMAGES)
    deploy.report(arguments, found, dataset, folded, verification)
    deployment = read_json(path / "deployment.json")
    accuracies = verification.comparisons[verification.arithmetic].accuracy_per_step
    return {"deployed_bytes": deployment["artifact_bytes"], "deployed_accuracy": accuracies[-1]}


@dataclasses.dataclass(frozen=True)
class Found:
    """All that is known of a finished run.

    Attributes:
      path: of the run.
      config: of the run.
      summary: its summary.json.
      costs: its costs.json.
      figures: its figures.json.
      epochs: what it logged of each epoch.
    """

    path: pathlib.Path
    config: TrainConfig
    summary: dict[str, Any]
    costs: dict[str, Any]
    figures: dict[str, Any]
    epochs: list[dict[str, Any]]


def found(path: pathlib.Path) -> Found:
    """Reads a whole run.

    Raises:
      CommandError: it is none.
    """
    directory = RunDirectory(path)
    config = directory.config()
    if not is_whole(path):
        raise CommandError(f"{path} is not finished, or has not all figures yet")
    summary, costs, figures = (read_json(path / name) for name in ("summary.json", "costs.json", FIGURES))
    return Found(path, config, summary, costs, figures, directory.read_metrics("epoch"))
