"""Costs of a preset or of a trained run: `python -m hdlif_jax.commands.costs PRESET|RUN [--data ...] [--out DIR]`."""

import dataclasses
import pathlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.box
import rich.table
import tyro
from experiments.cli import CommandError, command, console, one_line_errors
from experiments.execution import one_device
from experiments.plots import plot_costs
from experiments.presets import PRESETS, PaperFigures
from experiments.run import load_dataset
from experiments.run_directory import RunDirectory, device_name, in_data_dir, write_json

from experiments.train import did_you_mean
from hdlif_jax import analysis, nn
from hdlif_jax.data import Dataset, InputSpec, catalog
from hdlif_jax.training import (
    Checkpoints,
    DataConfig,
    TrainConfig,
    Trainer,
    TrainState,
    build_model,
    make_optimizer,
    make_train_step,
    normalize,
    to_dict,
    warmup_cosine,
)
from hdlif_jax.training.feeds import make_prepare

BATCH = 16


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Counts what a network costs, prints a table, and writes costs.json and costs.png."""

    source: Annotated[str, tyro.conf.Positional]
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
      model: the network.
      paper: what the paper reports for its preset.
      trained: its checkpoint as a text; None for a network that is built anew.
      out: default folder of the results.
    """

    name: str
    config: TrainConfig
    model: nn.SpikingNetwork
    paper: PaperFigures | None
    trained: str | None
    out: pathlib.Path


def input_spec(config: TrainConfig) -> InputSpec:
    """What the network of a configuration reads."""
    return catalog.entry(config.data.name).input_spec(config.data.frame_size, config.data.image_size)


def load_subject(source: str, data_dir: str | None = None) -> Subject:
    """The network of a preset or of a run directory.

    Raises:
      CommandError: it is neither.
    """
    if source in PRESETS:
        config, paper = in_data_dir(PRESETS[source].config, data_dir), PRESETS[source].paper
        spec = input_spec(config)
        model = build_model(config.model, spec.shape, spec.num_classes, config.seed)
        return Subject(source, config, model, paper, None, pathlib.Path("costs") / source)
    if not pathlib.Path(source).is_dir():
        raise CommandError(
            f"{source!r} is neither a preset nor a run directory; {did_you_mean(source, PRESETS)}"
            f"the presets are {', '.join(PRESETS)}"
        )
    directory = RunDirectory(pathlib.Path(source))
    config = directory.config(data_dir)
    dataset = load_dataset(config)
    trainer = Trainer(config, dataset, one_device())
    checkpoints = Checkpoints(directory.checkpoints, reads_only=True)
    state = checkpoints.load(trainer.initial_state)
    checkpoints.close()
    model = build_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
    model = nn.with_variables(model, state.variables)
    preset = PRESETS.get(config.preset)
    same_network = preset is not None and preset.config.model == config.model
    paper = preset.paper if preset is not None and same_network else None
    return Subject(source, config, model, paper, f"checkpoint of step {int(state.step)}", directory.path)


def choose_inputs(arguments: Arguments, config: TrainConfig) -> tuple[str, Iterator[jax.Array]]:
    """A description of the inputs, and the inputs in batches.

    Raises:
      CommandError: the dataset cannot be read and was asked for, or `images` < 1.
    """
    if arguments.images < 1:
        raise CommandError(f"--images {arguments.images} must be at least 1")
    if arguments.data != "random":
        try:
            dataset = load_dataset(config)
        except (CommandError, ValueError, OSError) as error:
            if arguments.data == "real":
                raise
            console.print(f"counting on random inputs, not on real ones: {error}")
        else:
            count = min(arguments.images, dataset.test.shape[0])
            return f"{count} test inputs of {dataset.name}", real_batches(dataset, count)
    return f"{arguments.images} random inputs (synthetic)", random_batches(config, arguments.images)


def real_batches(dataset: Dataset, count: int) -> Iterator[jax.Array]:
    """The first `count` test inputs after a fixed shuffle, normalised as in training."""
    order = np.sort(np.random.default_rng(0).permutation(dataset.test.shape[0])[:count])
    for start in range(0, count, BATCH):
        images, _ = dataset.test.read(order[start : start + BATCH])
        inputs = normalize(jnp.asarray(images), dataset.mean, dataset.std)
        yield jnp.moveaxis(inputs, 1, 0) if inputs.ndim == 5 else inputs


def random_batches(config: TrainConfig, count: int) -> Iterator[jax.Array]:
    """Images of standard normal pixels, or frames of Poisson event counts of mean 0.1."""
    spec = input_spec(config)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        key = jax.random.fold_in(jax.random.key(0), start)
        if spec.is_sequence:
            events = jax.random.poisson(key, 0.1, (config.model.num_steps, size, *spec.shape))
            yield events.astype(jnp.float32)
        else:
            yield jax.random.normal(key, (size, *spec.shape))


def training_cost(config: TrainConfig, model: nn.SpikingNetwork) -> analysis.CompiledCost:
    """Memory and FLOPs of one training step as XLA compiles it, with a donated state."""
    spec = input_spec(config)
    network = nn.training_form(model)
    optimizer = make_optimizer(config.optimizer, warmup_cosine(config.optimizer, 1000, config.epochs), network.per_step)
    variables = nn.variables_of(model)
    state = TrainState(jnp.int32(0), *variables, optimizer.init(variables.params))
    channels = spec.shape[-1]

    prepare = make_prepare(DataConfig(), (0.0,) * channels, (1.0,) * channels, spec.num_classes)

    step = jax.jit(make_train_step(network, optimizer, config.learning, prepare, config.seed), donate_argnums=0)
    sequence = (config.model.num_steps,) if spec.is_sequence else ()
    inputs = jax.ShapeDtypeStruct((config.batch_size, *sequence, *spec.shape), jnp.uint8)
    return analysis.compiled_cost(step, state, inputs, jax.ShapeDtypeStruct((config.batch_size,), jnp.int32))


def collect(subject: Subject, arguments: Arguments) -> tuple[dict[str, Any], analysis.Costs]:
    """Everything that costs.json holds, and the costs themselves."""
    inputs, batches = choose_inputs(arguments, subject.config)
    untrained = subject.trained is None
    costs = analysis.measure(subject.model, batches, batch_statistics=untrained)
    report: dict[str, Any] = {
        "source": subject.name,
        "model": to_dict(subject.config.model),
        "weights": subject.trained or "untrained, with the statistics of the batch",
        "inputs": inputs,
        **costs.summary(),
        "batch_size": subject.config.batch_size,
        "train_step": dataclasses.asdict(training_cost(subject.config, subject.model)) if arguments.compile else None,
        "device": device_name(),
        "paper": None if subject.paper is None else subject.paper._asdict(),
        "layers": [dataclasses.asdict(row) for row in costs.synapses],
        "neurons": [dataclasses.asdict(row) for row in costs.neurons],
    }
    return report, costs


def print_tables(report: dict[str, Any], costs: analysis.Costs) -> None:
    """The rows of each layer, then the totals beside the paper's."""
    title = f"{report['source']}: {report['inputs']}; weights {report['weights']}"
    layers = rich.table.Table(title=title, box=rich.box.SIMPLE, pad_edge=False)
    layers.add_column("layer", no_wrap=True)
    layers.add_column("kernel", no_wrap=True)
    for name in ("number", "inputs≠0", "SOPs (M)", "MACs (M)"):
        layers.add_column(name, justify="right", no_wrap=True)
    for row in costs.synapses:
        rate = "" if row.input_rate is None else f"{100 * row.input_rate:.1f} %"
        operations = (f"{row.sops / 1e6:.3f}", f"{row.macs / 1e6:.3f}")
        layers.add_row(row.path, row.weights, f"{row.parameters:,}", rate, *operations)
    neurons = rich.table.Table("neurons", "number", "NOPs (M)", "firing rate", box=rich.box.SIMPLE, pad_edge=False)
    for neuron in costs.neurons:
        neurons.add_row(
            neuron.path, f"{neuron.neurons:,}", f"{neuron.nops / 1e6:.3f}", f"{100 * neuron.firing_rate:.1f} %"
        )
    paper = report["paper"] or {}
    of_paper = {"param_mb_paper": "param_mb", "power_mj_paper": "power_mj", "sops_m": "sops_m", "nops_m": "nops_m"}
    totals = rich.table.Table("per image", "here", "paper", box=rich.box.SIMPLE, pad_edge=False)
    for name in costs.summary():
        value = paper.get(of_paper.get(name, ""))
        totals.add_row(name, f"{report[name]:.4g}", "" if value is None else f"{value:.2f}")
    if report["train_step"] is not None:
        for name, value in report["train_step"].items():
            totals.add_row(f"train step of {report['batch_size']}: {name}", f"{value:.4g}", "")
    for table in (layers, neurons, totals):
        console.print(table)


@command
def main() -> None:
    """Entry point."""
    with one_line_errors():
        arguments = tyro.cli(Arguments, prog="python -m hdlif_jax.commands.costs", args=sys.argv[1:])
    subject = load_subject(arguments.source, arguments.data_dir)
    out = arguments.out or subject.out
    report, costs = collect(subject, arguments)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "costs.json", report)
    plot_costs(out / "costs.png", f"{subject.name}\n{report['inputs']}, weights: {report['weights']}", costs)
    print_tables(report, costs)
    console.print(f"costs.json and costs.png in {out}")


if __name__ == "__main__":
    main()
