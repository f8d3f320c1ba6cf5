"""Evaluates a checkpoint of a run: `python -m hdlif_jax.commands.evaluate DIR [--step last|best|N]`."""

import dataclasses
import pathlib
from typing import Any

import hdlif_jax as hd
from hdlif_jax.commands.registry import make_normalize
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.execution import one_device, use_compilation_cache
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import device_name, write_json
from hdlif_jax.commands.support.runs import Which, load_dataset, load_run


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluates a checkpoint on the test set and writes evaluation.json beside it."""

    directory: conf.Positional[pathlib.Path]
    """A run directory."""
    step: Which = "last"
    """Checkpoint to evaluate: the newest, that with the best validation accuracy, or that of a step."""
    data_dir: str | None = None
    """Directory of prepared datasets; where the run found them by default."""


def evaluate(directory: pathlib.Path, step: Which = "last", data_dir: str | None = None) -> dict[str, Any]:
    """Accuracies of a checkpoint on the test set."""
    run = load_run(directory, step=step, data_dir=data_dir)
    import jax  # not before the run was found

    use_compilation_cache()
    dataset = load_dataset(run.config)
    normalize = make_normalize(run.config, dataset)
    hd.training.match.check_match(dataset, run.model, normalize)
    eval_step = jax.jit(hd.training.make_eval_step(hd.nn.inference_form(run.model), normalize))
    accuracies = hd.training.accuracy_per_step(eval_step, run.variables, dataset.test, one_device())
    return {
        "preset": run.config.preset,
        "dataset": dataset.name,
        "step": run.step,
        "selection": step if isinstance(step, str) else "step",
        "test_accuracy": accuracies[-1],
        "accuracy_per_step": accuracies,
        "device": device_name(),
    }


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "evaluate")
    with phase(f"evaluating {arguments.directory}"):
        evaluation = evaluate(arguments.directory, arguments.step, arguments.data_dir)
    write_json(arguments.directory / "evaluation.json", evaluation)
    per_step = " ".join(f"{accuracy:.4f}" for accuracy in evaluation["accuracy_per_step"])
    console.print(
        f"{evaluation['preset']}, step {evaluation['step']}: test accuracy {evaluation['test_accuracy']:.4f}, "
        f"after each time-step: {per_step}"
    )


if __name__ == "__main__":
    main()
