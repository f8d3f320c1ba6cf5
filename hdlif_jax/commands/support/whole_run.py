"""A run from its configuration to all of its figures: training, costs, the best checkpoint, deployment.

What is there already is not done again, so that a kill at any moment costs no more than what ran then.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from typing import Any

from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json, write_json

FIGURES = "figures.json"  # what was found besides summary.json; written last
REFUSED = "deployment_refused"  # in them: why there is no artifact
COUNTED_IMAGES = 64


def is_whole(path: pathlib.Path, needs_proof: bool = False) -> bool:
    """Whether a run has all of its figures as it is now, those of its deployment too where they are asked for."""
    if not (RunDirectory(path).is_finished and (path / FIGURES).is_file()):
        return False
    figures = read_json(path / FIGURES)
    epochs = RunDirectory(path).config().epochs
    if figures.get("epochs", epochs) != epochs:  # it was trained longer since; earlier versions did not say
        return False
    return not needs_proof or bool({"deployed_bytes", REFUSED} & figures.keys())


def is_trained(path: pathlib.Path) -> bool:
    """Whether a run has been trained to its end."""
    return RunDirectory(path).is_finished


def train(config: TrainConfig, path: pathlib.Path) -> None:
    """Trains what is left to train of a run.

    Args:
      config: of the run.
      path: of the run; new, unfinished or finished.

    Raises:
      CommandError: a directory of something else, or what training raises.
      ValueError: data or options that do not go together.
    """
    from hdlif_jax.commands.support.execution import Execution
    from hdlif_jax.commands.support.run import run

    directory = RunDirectory(path)
    if directory.is_finished:
        return
    execution = Execution()
    execution.start()
    run(directory, config, (path / "config.json").is_file(), execution)


def complete(config: TrainConfig, path: pathlib.Path, needs_proof: bool = True) -> None:
    """Does what is left to do of a run, and writes its figures.

    Args:
      config: of the run.
      path: as `train` takes it.
      needs_proof: whether to deploy it and compare the artifact with the run on the whole test set.

    Raises:
      CommandError: as `train`.
      ValueError: as `train`.
    """
    from hdlif_jax.commands import costs, evaluate

    train(config, path)
    with RunDirectory(path).locked():  # a study that was called twice would write the artifact twice
        subject = costs.load_subject(str(path))
        if not _is_counted(path / "costs.json", subject.trained):
            arguments = costs.Arguments(str(path), data="real", images=COUNTED_IMAGES)
            write_json(path / "costs.json", costs.collect(subject, arguments)[0])
        best = evaluate.evaluate(path, "best") if config.data.validation_fraction else None
        figures = {
            "epochs": config.epochs,
            "best_accuracy": best and best["test_accuracy"],
            "best_step": best and best["step"],
        }
        if needs_proof:
            figures |= proof(path)
        write_json(path / FIGURES, figures)


def _is_counted(file: pathlib.Path, checkpoint: str | None) -> bool:
    """Whether costs are there that compare with those of other runs: of this checkpoint, this many images, a step."""
    counted = read_json(file) if file.is_file() else {}
    return (
        counted.get("weights") == checkpoint
        and counted["inputs"].startswith(f"{COUNTED_IMAGES} test inputs of ")
        and counted["train_step"] is not None
    )


def proof(path: pathlib.Path) -> dict[str, Any]:
    """Size and accuracy of the run as an artifact, or why there is none.

    Raises:
      CommandError: there is something else in the artifact's place.
      ValueError: the data is not there.
    """
    from hdlif_jax.commands import deploy
    from hdlif_jax.commands.support.runs import load_dataset, load_run
    from hdlif_jax.deploy.format.manifest import MANIFEST

    artifact = path / "artifact"
    if (artifact / MANIFEST).is_file():
        shutil.rmtree(artifact)  # of a kill, or of fewer epochs
    elif artifact.exists():
        raise CommandError(f"{artifact} is no artifact; move it, as the artifact of the run goes there")
    found = load_run(path)
    dataset = load_dataset(found.config, found.info)
    try:
        folded, verification = deploy.write_and_verify(found, dataset, artifact)
    except (CommandError, TypeError, ValueError) as error:
        return {REFUSED: str(error)}
    arguments = deploy.Arguments(path, artifact, counted_images=COUNTED_IMAGES)
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
