"""Turns a finished run into an artifact and proves it: `hdlif deploy RUN OUT`."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import hdlif_jax as hd
from hdlif_jax.commands.config import DataConfig, to_dict
from hdlif_jax.commands.make import make_encoding, make_normalize
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import use_compilation_cache
from hdlif_jax.commands.support.progress import images_bar, phase
from hdlif_jax.commands.support.run_directory import device_name, write_json
from hdlif_jax.commands.support.runs import Run, load_dataset, load_run
from hdlif_jax.commands.support.tables import new_table, plain_table, print_table

if TYPE_CHECKING:
    import rich.table

    from hdlif_jax import deploy
    from hdlif_jax.commands.config import TrainConfig
    from hdlif_jax.data import Dataset, Source
    from hdlif_jax.deploy.costs import DeploymentCosts, InferenceCosts
    from hdlif_jax.deploy.verify import Verification

THRESHOLDS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes an artifact of a run's last checkpoint, and verifies it on the test set."""

    run: conf.Positional[pathlib.Path]
    """A run directory."""
    out: conf.Positional[pathlib.Path]
    """Folder of the artifact; must not exist, or be empty."""
    images: int | None = None
    """Number of test inputs that the artifact is verified on, for a quick proof: each class has its share of them. All
    by default."""
    counted_images: int = 64
    """Number of test inputs that synaptic operations are counted on."""
    data_dir: str | None = None
    """Directory of prepared datasets; where the run found them by default."""


def encoded_by(config: TrainConfig) -> str:
    """What makes the code of a run's inputs, for messages."""
    encoding = make_encoding(config.data, config.model.num_steps)
    values = "normalised inputs" if hd.encodings.reads_normalized(encoding) else "intensities in [0, 1]"
    return f"hdlif_jax.encodings.{encoding} of {values}"


class Inputs(NamedTuple):
    """What an artifact reads, and what of it the network was trained on.

    Attributes:
      source: the test set as the artifact reads it.
      mean: per channel: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.
    """

    source: Source
    mean: tuple[float, ...]
    std: tuple[float, ...]


def inputs_of(run: Run, dataset: Dataset, images: int | None = None) -> Inputs:
    """Pixels, which the artifact normalises; of a run on encoded inputs their code, which is made outside of it.

    Of so many test inputs, in which every class has its share, or for None of all.
    """
    test = dataset.test if images is None else hd.data.stratified(dataset.test, images)
    if run.config.data.encoding == DataConfig.encoding:
        return Inputs(test, dataset.mean, dataset.std)
    from hdlif_jax.commands.support.codes import LEVEL, Codes

    channels = test.shape[-1]
    return Inputs(Codes(test, make_normalize(run.config, dataset)), (LEVEL,) * channels, (LEVEL,) * channels)


def write_and_verify(
    run: Run, dataset: Dataset, out: pathlib.Path, images: int | None = None
) -> tuple[deploy.Folded, Verification]:
    """Writes the artifact, and compares it with the checkpoint; what is wrong does not stay.

    Args:
      run: the checkpoint.
      dataset: its data.
      out: folder of the artifact.
      images: number of test inputs to compare them on; None for all.

    Raises:
      CommandError: their accuracies differ.
      ValueError: the folder holds something.
    """
    inputs = inputs_of(run, dataset, images)
    moments: dict[str, Any] = {"mean": inputs.mean, "std": inputs.std}
    with phase("folding and exporting"):
        folded = hd.deploy.deploy(
            run.model,
            run.variables,
            out,
            **moments,
            input_kind="image" if len(inputs.source.shape) == 4 else "sequence",
            class_names=dataset.class_names,
            config=to_dict(run.config),
            input_type="uint8" if inputs.source.dtype == "uint8" else "float32",
        )
    try:
        with images_bar("verifying", inputs.source.shape[0]) as progress:
            return folded, hd.deploy.verify.verify(
                run.model, out, inputs.source, variables=run.variables, progress=progress, **moments
            )
    except ValueError as error:
        shutil.rmtree(out)
        raise CommandError(f"{error}; the artifact was removed") from error
    except BaseException:
        shutil.rmtree(out)
        raise


def findings_of(verification: Verification) -> dict[str, Any]:
    """A verification as deployment.json has it."""
    return {
        "arithmetic": verification.arithmetic,
        "checkpoint_accuracy_per_step": verification.accuracy_per_step,
        **{name: comparison._asdict() for name, comparison in verification.comparisons.items()},
    }


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "deploy")
    for option, count in (("--images", arguments.images), ("--counted-images", arguments.counted_images)):
        if count is not None and count < 1:
            raise CommandError(f"{option} {count} must be at least 1")
    with phase(f"loading {arguments.run}"):
        run = load_run(arguments.run, data_dir=arguments.data_dir)
    use_compilation_cache()
    dataset = load_dataset(run.config, run.info)
    started = time.perf_counter()
    folded, verification = write_and_verify(run, dataset, arguments.out, arguments.images)
    report(arguments, run, dataset, folded, verification)
    console.print(f"artifact in {arguments.out}, written and verified in {time.perf_counter() - started:.1f} s")


def report(arguments: Arguments, run: Run, dataset: Dataset, folded: deploy.Folded, verification: Verification) -> None:
    """Writes the figures to deployment.json in the run directory, and prints them."""
    from hdlif_jax.commands.support.inputs import real_batches

    proven, available = len(verification.labels), dataset.test.shape[0]
    counted = min(arguments.counted_images, available)
    with phase(f"counting operations on {counted} test inputs"):
        costs = hd.deploy.costs.deployment_costs(run.model, folded, real_batches(run.config, dataset, counted))
    artifact_bytes = hd.deploy.size_on_disk(arguments.out)
    manifest = hd.deploy.read(arguments.out).manifest
    trade = hd.deploy.anytime.trade_off(verification.logits, verification.labels, THRESHOLDS)
    write_json(
        arguments.run / "deployment.json",
        {
            "artifact_bytes": artifact_bytes,
            "step": run.step,
            "test_inputs": available,
            "verified_inputs": proven,
            "quick_proof": proven < available,
            "verification": findings_of(verification),
            "before": costs.before._asdict(),
            "after": costs.after._asdict(),
            "early_exit": [row._asdict() for row in trade],
            "device": device_name(),
        },
    )
    quick = f" (a quick proof: there are {available})" if proven < available else ""
    console.print(
        f"{run.config.title}, checkpoint of step {run.step}; {proven} test inputs of {dataset.name}{quick}; "
        f"{verification.arithmetic} arithmetic on this machine, "
        f"{manifest.integer_layers} layers of integers"
    )
    print_table(table(costs, verification, artifact_bytes / 1e6))
    for name, found in verification.comparisons.items():
        console.print(
            f"{name}: after 1…{manifest.num_steps} steps {_digits(found.accuracy_per_step)}; largest difference of a "
            f"logit {found.max_logit_difference:.2g} (logits up to {found.largest_logit:.2g}); "
            f"{found.inputs_at_an_edge} inputs met the edge of a level, {found.other_predictions} other predictions"
        )
    if run.config.data.encoding != DataConfig.encoding:
        console.print(
            f"The artifact reads the code {run.config.data.encoding!r}, and does not make it: "
            f"{encoded_by(run.config)}, plus 1 as uint8, [{manifest.num_steps}, ...] for each input."
        )
    console.print(f"checkpoint: after 1…{manifest.num_steps} steps {_digits(verification.accuracy_per_step)}")
    console.print(
        "Folded arithmetic rounds in another order than training, so that at the edge of a level a spike may come out "
        "one level higher or lower. From here on the folded arithmetic is the definition."
    )
    exits = new_table("margin", "mean steps", "Acc. (%)", title="early exit", text_columns=0)
    for row in trade:
        exits.add_row(f"{row.threshold:.2f}", f"{row.mean_steps:.3f}", f"{100 * row.accuracy:.2f}")
    print_table(exits)


def table(costs: DeploymentCosts, verification: Verification, disk_mb: float) -> rich.table.Table:
    """The paper's Table 2 columns, before and after; fits 80 columns."""
    shown = plain_table("", "T", "Param.(MB)", "disk(MB)", "Acc.(%)", "SOPs(M)", "NOPs(M)", "Power(mJ)")

    def add(name: str, row: InferenceCosts, disk: str, accuracy_per_step: list[float]) -> None:
        shown.add_row(
            name,
            str(len(accuracy_per_step)),
            f"{row.parameters_mb:.4f}",
            disk,
            f"{100 * accuracy_per_step[-1]:.2f}",
            f"{row.sops_m:.4f}",
            f"{row.nops_m:.4f}",
            f"{row.power_mj:.3g}",
        )

    add("checkpoint", costs.before, "", verification.accuracy_per_step)
    after = verification.comparisons[verification.arithmetic].accuracy_per_step
    add("deployed", costs.after, f"{disk_mb:.4f}", after)
    return shown


def _digits(accuracies: list[float]) -> str:
    return " ".join(f"{accuracy:.4f}" for accuracy in accuracies)


if __name__ == "__main__":
    main()
