"""Counts what a preset or a trained run costs: `hdlif costs PRESET|RUN [--data ...] [--out DIR]`."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import hdlif_jax as hd
from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.make import (
    make_encoding,
    make_loss,
    make_model,
    make_optimizer,
    make_schedule,
    rule_for_network,
)
from hdlif_jax.commands.presets import PRESETS, PaperFigures
from hdlif_jax.commands.support.cli import conf, console, parse, where_presets_are
from hdlif_jax.commands.support.cost_tables import layer_table, neuron_table, total_table
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import use_compilation_cache
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import RunDirectory, device_name, in_data_dir, write_json
from hdlif_jax.commands.support.runs import input_spec, load_dataset, load_run
from hdlif_jax.commands.support.stages import untrained_teacher
from hdlif_jax.commands.support.tables import print_table

if TYPE_CHECKING:
    import jax

    from hdlif_jax import analysis, data, nn
    from hdlif_jax.commands.support.runs import Run


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Counts what a network costs, prints a table, and writes costs.json and costs.png."""

    source: conf.Positional[str]
    """Name of a preset, whose network is built anew, or a run directory, whose last checkpoint is read."""
    data: Literal["auto", "real", "random"] = "auto"
    """Inputs to count SOPs and firing rates on: the dataset's test images, or random numbers; auto takes the dataset
    where it can be read, and says when it cannot."""
    data_dir: str | None = None
    """Directory of prepared datasets; that of the configuration by default."""
    images: int = 64
    """Number of inputs to count on."""
    compile: bool = True
    """Whether to ask XLA for the memory and FLOPs of a training step, which compiles one."""
    out: pathlib.Path | None = None
    """Folder for costs.json and costs.png; the run directory, or costs/PRESET, by default."""


class Subject(NamedTuple):
    """The network to count, and where it comes from.

    Attributes:
      name: preset or run.
      config: of its training.
      spec: what it reads.
      model: the network.
      paper: what the paper reports for its preset.
      trained: its checkpoint as a text; None for a network that is built anew.
      out: default folder of the results.
      info: what a run kept of its data.
    """

    name: str
    config: TrainConfig
    spec: data.InputSpec
    model: nn.SpikingNetwork
    paper: PaperFigures | None
    trained: str | None
    out: pathlib.Path
    info: data.DatasetInfo | None = None


def load_subject(source: str, data_dir: str | None = None) -> Subject:
    """The network of a preset or of a run directory.

    Raises:
      CommandError: it is neither.
    """
    if source in PRESETS:
        config, paper = in_data_dir(PRESETS[source].config, data_dir), PRESETS[source].paper
        spec = input_spec(config)
        model = make_model(config.model, spec.shape, spec.num_classes, config.seed)
        return Subject(source, config, spec, model, paper, None, pathlib.Path("costs") / source)
    if not pathlib.Path(source).is_dir():
        raise CommandError(
            f"{source!r} is neither a preset nor a run directory; {did_you_mean(source, PRESETS)}{where_presets_are()}"
        )
    return subject_of_run(load_run(source, data_dir=data_dir), source)


def subject_of_run(run: Run, source: str) -> Subject:
    """The network of a run that was loaded from the directory `source`."""
    preset = PRESETS.get(run.config.preset)
    spec = input_spec(run.config) if run.info is None else run.info.spec
    same_network = preset is not None and (preset.config.model, preset.config.data.name) == (
        run.config.model,
        run.config.data.name,
    )
    paper = preset.paper if preset is not None and same_network else None
    trained = f"checkpoint of step {run.step}"
    return Subject(source, run.config, spec, run.model, paper, trained, pathlib.Path(source), run.info)


def choose_inputs(
    arguments: Arguments, config: TrainConfig, spec: data.InputSpec, info: data.DatasetInfo | None = None
) -> tuple[str, Iterator[jax.Array]]:
    """A description of the inputs, and the inputs in batches.

    Raises:
      CommandError: the dataset cannot be read and was asked for.
    """
    from hdlif_jax.commands.support.inputs import random_batches, real_batches

    if arguments.data != "random":
        try:
            dataset = load_dataset(config, info)
        except (CommandError, ValueError, OSError) as error:
            if arguments.data == "real":
                raise
            console.print(f"counting on random inputs, not on real ones: {error}")
        else:
            count = min(arguments.images, dataset.test.shape[0])
            return f"{count} test inputs of {dataset.name}", real_batches(config, dataset, count)
    return f"{arguments.images} random inputs (synthetic)", random_batches(config, spec, arguments.images)


def training_cost(subject: Subject) -> analysis.CompiledCost:
    """Memory and FLOPs of one training step as XLA compiles it, with a donated state."""
    import jax
    import jax.numpy as jnp

    config, spec, model = subject.config, subject.spec, subject.model
    network = hd.nn.training_form(model)
    schedule = make_schedule(config.optimizer, 1000, config.epochs)  # how long it is changes nothing
    optimizer = make_optimizer(config.optimizer, schedule, network)
    channels = spec.shape[-1]
    preprocess = hd.training.make_preprocess(
        (0.0,) * channels,
        (1.0,) * channels,
        spec.num_classes,
        encoding=make_encoding(config.data, config.model.num_steps),
    )
    run = None if subject.trained is None else RunDirectory(subject.out)
    teacher = untrained_teacher(config, spec.shape, model.num_classes, run)
    rule, loss = rule_for_network(config, teacher), make_loss(config.learning, config.model.num_steps)
    step = jax.jit(
        hd.training.make_train_step(network, rule, loss, optimizer, preprocess=preprocess, seed=config.seed),
        donate_argnums=0,
    )
    sequence = (config.model.num_steps,) if spec.is_sequence else ()
    dtype = jnp.uint8 if subject.info is None else jnp.dtype(subject.info.dtype)
    inputs = jax.ShapeDtypeStruct((config.batch_size, *sequence, *spec.shape), dtype)
    labels = jax.ShapeDtypeStruct((config.batch_size,), jnp.int32)
    state = hd.training.initial_state(model, optimizer)
    return hd.analysis.compiled_cost(step, state, hd.learning.Batch(inputs, labels))  # type: ignore[arg-type]


def collect(subject: Subject, arguments: Arguments) -> tuple[dict[str, Any], analysis.Costs]:
    """Everything that costs.json holds, and the costs themselves."""
    use_compilation_cache()
    inputs, batches = choose_inputs(arguments, subject.config, subject.spec, subject.info)
    untrained = subject.trained is None
    with phase(f"counting operations on {inputs}"):
        costs = hd.analysis.measure(subject.model, batches, batch_statistics=untrained)
    step = None
    if arguments.compile:
        with phase("compiling a training step, to ask for its memory"):
            step = dataclasses.asdict(training_cost(subject))
    report: dict[str, Any] = {
        "source": subject.name,
        "model": to_dict(subject.config.model),
        "weights": subject.trained or "untrained, with the statistics of the batch",
        "inputs": inputs,
        **costs.summary(),
        "batch_size": subject.config.batch_size,
        "train_step": step,
        "device": device_name(),
        "paper": None if subject.paper is None else subject.paper._asdict(),
        "layers": [dataclasses.asdict(row) for row in costs.synapses],
        "neurons": [dataclasses.asdict(row) for row in costs.neurons],
    }
    return report, costs


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "costs")
    if arguments.images < 1:
        raise CommandError(f"--images {arguments.images} must be at least 1")
    with phase(f"building the network of {arguments.source}"):
        subject = load_subject(arguments.source, arguments.data_dir)
    out = arguments.out or subject.out
    report, costs = collect(subject, arguments)
    from hdlif_jax.commands.support.plots import plot_costs

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "costs.json", report)
    plot_costs(out / "costs.png", f"{subject.name}\n{report['inputs']}, weights: {report['weights']}", costs)
    for table in (layer_table(report, costs), neuron_table(costs), total_table(report)):
        print_table(table)
    console.print(f"costs.json and costs.png in {out}")


if __name__ == "__main__":
    main()
