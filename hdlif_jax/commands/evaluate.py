"""Evaluates a checkpoint of a run: `hdlif evaluate DIR [--step last|best|N] [--steps T]`."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hdlif_jax as hd
from hdlif_jax.commands.make import make_normalize
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.execution import one_device, use_compilation_cache
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import device_name, write_json
from hdlif_jax.commands.support.runs import Which, load_dataset, load_run

if TYPE_CHECKING:
    import jax

    from hdlif_jax import deploy
    from hdlif_jax.training.evaluate import EvalStep


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluates a checkpoint on the test set and writes evaluation.json beside it."""

    directory: conf.Positional[pathlib.Path]
    """A run directory."""
    step: Which = "last"
    """Checkpoint to evaluate: the newest, that with the best validation accuracy, or that of a step."""
    steps: int | None = None
    """Number of time-steps to run, where recordings are cut into as many frames; that of training by default. Fewer
    always, more where the network has no parameters of single steps."""
    folded: bool = False
    """Whether to evaluate the folded network, whose arithmetic is that of an artifact."""
    data_dir: str | None = None
    """Directory of prepared datasets; where the run found them by default."""


def evaluate(
    directory: pathlib.Path,
    step: Which = "last",
    data_dir: str | None = None,
    *,
    num_steps: int | None = None,
    folded: bool = False,
) -> dict[str, Any]:
    """Accuracies of a checkpoint on the test set; arguments as those of the command."""
    run = load_run(directory, step=step, data_dir=data_dir)
    import jax  # not before the run was found

    use_compilation_cache()
    model, config = run.model, run.config
    if num_steps is not None:
        model = hd.nn.with_num_steps(model, num_steps)
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, num_steps=num_steps))
    dataset = load_dataset(config, run.info)
    normalize, weights = make_normalize(config, dataset), hd.nn.variables_of(model)
    hd.training.match.check_match(dataset, model, normalize)
    eval_step = hd.training.make_eval_step(hd.nn.inference_form(model), normalize)
    if folded:
        eval_step, weights = folded_eval_step(hd.deploy.fold.fold(model), normalize)
    accuracies = hd.training.accuracy_per_step(jax.jit(eval_step), weights, dataset.test, one_device())
    return {
        "preset": config.preset,
        "title": config.title,
        "dataset": dataset.name,
        "step": run.step,
        "selection": step if isinstance(step, str) else "step",
        "num_steps": model.num_steps,
        "folded": folded,
        "test_accuracy": accuracies[-1],
        "accuracy_per_step": accuracies,
        "device": device_name(),
    }


def folded_eval_step(folded: deploy.Folded, normalize: Callable[[jax.Array], jax.Array]) -> tuple[EvalStep, Any]:
    """What `make_eval_step` gives, of a folded network, and the arrays that it reads."""
    logits = hd.deploy.execute.logits_function(folded.graph)

    def eval_step(arrays: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        return hd.rollout.accuracy_per_step(logits(arrays, normalize(inputs)), labels)

    return eval_step, folded.arrays


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "evaluate")
    with phase(f"evaluating {arguments.directory}"):
        evaluation = evaluate(
            arguments.directory,
            arguments.step,
            arguments.data_dir,
            num_steps=arguments.steps,
            folded=arguments.folded,
        )
    write_json(arguments.directory / "evaluation.json", evaluation)
    per_step = " ".join(f"{accuracy:.4f}" for accuracy in evaluation["accuracy_per_step"])
    console.print(
        f"{evaluation['title']}, step {evaluation['step']}{', folded' if arguments.folded else ''}: test accuracy "
        f"{evaluation['test_accuracy']:.4f}, after each time-step: {per_step}"
    )


if __name__ == "__main__":
    main()
