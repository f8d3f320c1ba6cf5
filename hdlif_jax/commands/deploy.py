"""Turns a finished run into an artifact and proves it: `python -m hdlif_jax.commands.deploy RUN OUT`."""

import dataclasses
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.box
import rich.table
import tyro
from experiments.cli import CommandError, command, console, one_line_errors
from experiments.execution import one_device
from experiments.run import load_dataset
from experiments.run_directory import RunDirectory, device_name, write_json

from experiments.deployment_costs import costs_after, costs_before, table
from hdlif_jax import nn, rollout
from hdlif_jax.data import Source
from hdlif_jax.deploy import anytime, artifact, load
from hdlif_jax.deploy.export import make_artifact
from hdlif_jax.deploy.fold import Folded, fold
from hdlif_jax.training import Checkpoints, TrainConfig, Trainer, build_model, normalize, to_dict

BATCH = 64
THRESHOLDS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
TOLERANCE = 0.002  # of accuracy: folding rounds differently, and a current at the edge of a level may change it


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes an artifact of a run's last checkpoint, and verifies it on the whole test set."""

    run: Annotated[pathlib.Path, tyro.conf.Positional]
    """A run directory."""
    out: Annotated[pathlib.Path, tyro.conf.Positional]
    """Folder of the artifact; must not exist, or be empty."""
    images: int = 64
    """Number of test inputs that synaptic operations are counted on."""
    data_dir: str | None = None
    """Directory of prepared datasets; where the run found them by default."""


class Trained(NamedTuple):
    """What is deployed.

    Attributes:
      config: of the run.
      trainer: with the dataset.
      model: the network with the checkpoint's parameters.
      step: of the checkpoint.
    """

    config: TrainConfig
    trainer: Trainer
    model: nn.SpikingNetwork
    step: int


def load_trained(run: pathlib.Path, data_dir: str | None = None) -> Trained:
    """The last checkpoint of a run."""
    directory = RunDirectory(run)
    config = directory.config(data_dir)
    trainer = Trainer(config, load_dataset(config), one_device())
    checkpoints = Checkpoints(directory.checkpoints, reads_only=True)
    state = checkpoints.load(trainer.initial_state)
    checkpoints.close()
    dataset = trainer.dataset
    model = build_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
    return Trained(config, trainer, nn.with_variables(model, state.variables), int(state.step))


def deploy(trained: Trained, out: pathlib.Path) -> Folded:
    """Folds, exports and writes."""
    dataset = trained.trainer.dataset
    folded = fold(trained.model)

    def prepare_inputs(inputs):
        return normalize(inputs, dataset.mean, dataset.std)

    made = make_artifact(
        folded,
        prepare_inputs,
        input_kind="image" if len(dataset.test.shape) == 4 else "sequence",
        class_names=dataset.class_names,
        config=to_dict(trained.config),
    )
    artifact.write(out, made)
    return folded


def batches(source: Source) -> Iterator[tuple[np.ndarray, int]]:
    """Inputs of a split in batches of one size, and how many of each count."""
    num_inputs = source.shape[0]
    for start in range(0, num_inputs, BATCH):
        inputs = source.read(np.arange(start, min(start + BATCH, num_inputs))).inputs
        yield np.concatenate([inputs, np.repeat(inputs[-1:], BATCH - len(inputs), 0)]), len(inputs)


def all_logits(function, source: Source) -> np.ndarray:
    """Logits `[T, N, K]` of a function of uint8 inputs."""
    return np.concatenate([np.asarray(function(inputs))[:, :count] for inputs, count in batches(source)], 1)


def checkpoint_logits(trained: Trained) -> np.ndarray:
    """Logits `[T, N, K]` of the network as it was trained, on the test set."""
    dataset = trained.trainer.dataset
    network, variables = nn.inference_form(trained.model), nn.variables_of(trained.model)

    @jax.jit
    def logits(inputs):
        inputs = normalize(inputs, dataset.mean, dataset.std)
        return rollout.rollout(network, variables, jnp.moveaxis(inputs, 1, 0) if inputs.ndim == 5 else inputs)

    return all_logits(logits, dataset.test)


def accuracies(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Accuracy after 1…T steps."""
    predictions = np.cumsum(logits, 0).argmax(-1)
    return [float(right) for right in (predictions == labels).mean(-1)]


def verify(trained: Trained, out: pathlib.Path) -> tuple[dict[str, Any], np.ndarray]:
    """Compares the artifact, read back from disk, with the checkpoint on the whole test set, in each arithmetic.

    Returns:
      The findings, and the logits of the arithmetic that this machine takes.

    Raises:
      CommandError: their accuracies differ.
    """
    test = trained.trainer.dataset.test
    expected = checkpoint_logits(trained)
    before = accuracies(expected, test.labels)
    default = load(out)
    findings: dict[str, Any] = {"arithmetic": default.arithmetic, "checkpoint_accuracy_per_step": before}
    paths = ("integer", "float") if default.manifest.integer_layers else ("float",)
    chosen = expected
    for arithmetic in paths:
        logits = all_logits(load(out, arithmetic), test)  # type: ignore[arg-type]
        after = accuracies(logits, test.labels)
        findings[arithmetic] = {
            "accuracy_per_step": after,
            "max_logit_difference": float(np.abs(logits - expected).max()),
            "largest_logit": float(np.abs(expected).max()),
            "other_predictions": int((logits.sum(0).argmax(-1) != expected.sum(0).argmax(-1)).sum()),
        }
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) > TOLERANCE:
            raise CommandError(
                f"the artifact is wrong and was removed: in {arithmetic} arithmetic its accuracies are {after}, "
                f"those of the checkpoint {before}; this is a defect of the deployment, not of the run"
            )
        if arithmetic == default.arithmetic:
            chosen = logits
    return findings, chosen


@command
def main() -> None:
    """Entry point."""
    with one_line_errors():
        arguments = tyro.cli(Arguments, prog="python -m hdlif_jax.commands.deploy", args=sys.argv[1:])
    if arguments.images < 1:
        raise CommandError(f"--images {arguments.images} must be at least 1")
    trained = load_trained(arguments.run, arguments.data_dir)
    started = time.perf_counter()
    folded = deploy(trained, arguments.out)
    try:
        findings, logits = verify(trained, arguments.out)
    except BaseException:
        shutil.rmtree(arguments.out)
        raise
    report(arguments, trained, folded, findings, logits)
    console.print(f"artifact in {arguments.out}, written and verified in {time.perf_counter() - started:.1f} s")


def report(
    arguments: Arguments, trained: Trained, folded: Folded, findings: dict[str, Any], logits: np.ndarray
) -> None:
    """Prints the figures, and writes them to deployment.json in the run directory."""
    test = trained.trainer.dataset.test
    images = min(arguments.images, len(test.labels))
    dataset = trained.trainer.dataset
    before = costs_before(trained.model, dataset, images)
    after = costs_after(trained.model, folded, trained.config.model, dataset, images)
    disk_mb = artifact.size_on_disk(arguments.out) / 1e6
    manifest = load(arguments.out).manifest
    console.print(
        f"{trained.config.preset}, checkpoint of step {trained.step}; {len(test.labels)} test inputs of "
        f"{trained.trainer.dataset.name}; {findings['arithmetic']} arithmetic on this machine, "
        f"{manifest.integer_layers} layers of integers"
    )
    console.print(table(before, after, findings, disk_mb, manifest.num_steps))
    for name in ("integer", "float"):
        if name in findings:
            found = findings[name]
            steps = " ".join(f"{accuracy:.4f}" for accuracy in found["accuracy_per_step"])
            console.print(
                f"{name}: after 1…{manifest.num_steps} steps {steps}; largest difference of a logit "
                f"{found['max_logit_difference']:.2g} (logits up to {found['largest_logit']:.2g}); "
                f"{found['other_predictions']} other predictions"
            )
    steps = " ".join(f"{accuracy:.4f}" for accuracy in findings["checkpoint_accuracy_per_step"])
    console.print(f"checkpoint: after 1…{manifest.num_steps} steps {steps}")
    trade = anytime.trade_off(logits, test.labels, THRESHOLDS)
    exits = rich.table.Table(title="early exit", box=rich.box.SIMPLE, pad_edge=False)
    for name in ("margin", "mean steps", "Acc. (%)"):
        exits.add_column(name, justify="right")
    for row in trade:
        exits.add_row(f"{row.threshold:.2f}", f"{row.mean_steps:.3f}", f"{100 * row.accuracy:.2f}")
    console.print(exits)
    write_json(
        arguments.run / "deployment.json",
        {
            "artifact_bytes": artifact.size_on_disk(arguments.out),
            "step": trained.step,
            "verification": findings,
            "before": before._asdict(),
            "after": after._asdict(),
            "early_exit": [row._asdict() for row in trade],
            "device": device_name(),
        },
    )


if __name__ == "__main__":
    main()
