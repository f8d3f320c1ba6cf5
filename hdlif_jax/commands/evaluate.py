"""Evaluates a checkpoint of a run: `python -m hdlif_jax.commands.evaluate DIR [--step last|best|N]`."""

import dataclasses
import pathlib
import sys
from typing import Annotated, Literal

import tyro
from experiments.cli import command, console, one_line_errors
from experiments.execution import one_device
from experiments.run import load_dataset
from experiments.run_directory import RunDirectory, device_name, write_json

from hdlif_jax.training import Checkpoints, Trainer


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluates a checkpoint on the test set and writes evaluation.json beside it."""

    directory: Annotated[pathlib.Path, tyro.conf.Positional]
    """A run directory."""
    step: int | Literal["last", "best"] = "last"
    """Checkpoint to evaluate: the newest, that with the best validation accuracy, or that of a step."""
    data_dir: str | None = None
    """Directory of prepared datasets; where the run found them by default."""


def evaluate(
    directory: RunDirectory, step: int | Literal["last", "best"] = "last", data_dir: str | None = None
) -> dict:
    """Accuracies of a checkpoint on the test set."""
    config = directory.config(data_dir)
    trainer = Trainer(config, load_dataset(config), one_device())
    checkpoints = Checkpoints(directory.checkpoints, reads_only=True)
    chosen = {"last": checkpoints.latest, "best": checkpoints.best}[step]() if isinstance(step, str) else step
    state = checkpoints.load(trainer.initial_state, chosen)
    checkpoints.close()
    accuracy_per_step = trainer.accuracy_per_step(state, trainer.dataset.test)
    return {
        "preset": config.preset,
        "dataset": trainer.dataset.name,
        "step": int(state.step),
        "selection": step if isinstance(step, str) else "step",
        "test_accuracy": accuracy_per_step[-1],
        "accuracy_per_step": accuracy_per_step,
        "device": device_name(),
    }


@command
def main() -> None:
    """Entry point."""
    with one_line_errors():
        arguments = tyro.cli(Arguments, prog="python -m hdlif_jax.commands.evaluate", args=sys.argv[1:])
    directory = RunDirectory(arguments.directory)
    evaluation = evaluate(directory, arguments.step, arguments.data_dir)
    write_json(directory.path / "evaluation.json", evaluation)
    per_step = " ".join(f"{accuracy:.4f}" for accuracy in evaluation["accuracy_per_step"])
    console.print(
        f"{evaluation['preset']}, step {evaluation['step']}: test accuracy {evaluation['test_accuracy']:.4f}, "
        f"after each time-step: {per_step}"
    )


if __name__ == "__main__":
    main()
