"""Compares the gradients of neuron models: `python -m hdlif_jax.commands.separability [--models lif ...]`."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Literal

import hdlif_jax as hd
from hdlif_jax.commands.config import ModelConfig, TrainConfig
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.registry import NETWORKS, NEURONS, make_loss, make_model, make_trainer
from hdlif_jax.commands.support.cli import console, did_you_mean, parse, where_presets_are
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import one_device, use_compilation_cache
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import RunDirectory, device_name, read_json, write_json
from hdlif_jax.commands.support.runs import load_dataset

if TYPE_CHECKING:
    from hdlif_jax.analysis.separability import Contributions, ModelStudy
    from hdlif_jax.data import Dataset
    from hdlif_jax.nn import SpikingNetwork, Variables

LEGEND = """\
first layer, all: cosine of the accumulated online and the STBP gradient{spread}
ε: separability index and number of distinct values, before training.
Thm 4.2: worst deviation from the theorem, before and after training.
var., bias²: of one random step, relative: variance, and squared bias to STBP.
"""
SPREAD = "\n(mean ± standard deviation over seeds)"
USUAL = "20 trainings of 300 updates, the default, take about ten minutes on two cores."


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains each model on a preset, or loads it from an earlier call, and compares online gradients with STBP.

    The default takes about ten minutes on two cores; --seeds 0 takes a fifth.
    """

    models: tuple[Literal[tuple(NEURONS)], ...] = ("lif", "hd-lif", "parallel", "mem-bn")  # type: ignore[valid-type]
    """Neuron models: lif (triangle surrogate), hd-lif, parallel (half of the neurons; in a VGG all), mem-bn."""
    preset: str = "digits"
    """Preset whose data, network size and optimiser all models get."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the initial kernels, the data order and the drawn time-steps; figures are means over them."""
    updates: int = 300
    """Updates of training before the second comparison."""
    out: pathlib.Path | None = None
    """Where results and trained models go; runs/separability-TIME by default. A second call loads the models."""

    def __post_init__(self):
        """Raises ValueError for values out of range."""
        for name in ("models", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"--{name} {' '.join(map(str, values))} must name at least one, each once")
        if self.updates < 1:
            raise ValueError(f"--updates {self.updates} must be at least 1")
        if min(self.seeds) < 0:
            raise ValueError(f"--seeds {' '.join(map(str, self.seeds))} must not be negative")
        if self.preset not in PRESETS:
            nearest = did_you_mean(self.preset, PRESETS)
            raise ValueError(f"unknown preset {self.preset!r}; {nearest}{where_presets_are()}")


def table(studies: dict[str, ModelStudy]) -> str:
    """The figures of all models side by side, within 80 columns."""
    rows, spreads = [], any(len(figures["first_layer_cosine_init_per_seed"]) > 1 for figures in studies.values())
    for name, figures in studies.items():
        estimator = figures["estimator"]["trained"]["network"]
        rows.append(
            (
                name,
                _with_spread(figures, "first_layer_cosine_init", spreads),
                _with_spread(figures, "first_layer_cosine_trained", spreads),
                f"{figures['network_cosine']['trained']:.3f}",
                f"{figures['separability_index']:.3f}",
                f"{figures['distinct_epsilon_values']}",
                "" if figures["theorem_worst_deviation"] is None else f"{figures['theorem_worst_deviation']:.1e}",
                f"{estimator['variance']:.3f}",
                f"{estimator['bias_stbp'] ** 2:.3f}",
            )
        )
    heads = [
        ("", "first layer", "first layer", "all", "index", "values", "Thm 4.2", "var.", "bias²"),
        ("model", "initial", "trained", "trained", "of ε", "of ε", "worst", "", ""),
    ]
    widths = [max(len(row[column]) for row in (*heads, *rows)) for column in range(len(heads[0]))]
    lines = []
    for first, *others in (*heads, *rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(" ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(["", *lines, "", LEGEND.format(spread=SPREAD if spreads else "")])


def _with_spread(figures: ModelStudy, name: str, spreads: bool) -> str:
    return f"{figures[name]:.4f}" + (f"±{figures[f'{name}_std']:.4f}" if spreads else "")


def output_directory(arguments: Arguments) -> pathlib.Path:
    """Makes the output directory, or finds in it an earlier call of the same preset and number of updates.

    Raises:
      CommandError: it holds something else.
    """
    out = arguments.out or RunDirectory.of_now("separability").claimed().path
    description = {"preset": arguments.preset, "updates": arguments.updates}
    file = out / "study.json"
    if file.is_file():
        if read_json(file) != description:
            raise CommandError(
                f"{out} holds a comparison of {read_json(file)}, not of {description}; choose another --out"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out} is not empty and holds no comparison; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, description)
    return out


def with_neurons(base: ModelConfig, name: str) -> tuple[ModelConfig, str | None]:
    """A network like `base` of these neurons, and the layer whose ε is sampled; None for the first.

    Parallel neurons are half of all, at the second position of each block; without blocks, all of them are.
    """
    if name == "parallel" and NETWORKS[base.architecture].has_blocks:
        return dataclasses.replace(base, neuron="hd-lif", parallel=True), "blocks.0.neuron2"
    return dataclasses.replace(base, neuron=name, parallel=None if name == "parallel" else False), None


def study_neurons(
    name: str, base: TrainConfig, seeds: tuple[int, ...], updates: int, folder: pathlib.Path
) -> tuple[ModelStudy, Contributions]:
    """Everything that `separability.json` says of one model, and the sampled ε of the first seed at initialisation.

    Args:
      name: of the neurons.
      base: data, network size, optimiser and learning rule.
      seeds: one training run each.
      updates: length of a run; the learning rate is that of the first updates of `base`.
      folder: where the trained models are, or will be.
    """
    model_config, layer = with_neurons(base.model, name)
    dataset = load_dataset(base)

    def of_seed(seed: int) -> TrainConfig:
        return dataclasses.replace(base, model=model_config, seed=seed)

    def untrained(seed: int) -> SpikingNetwork:
        return make_model(model_config, dataset.input_shape, dataset.num_classes, seed)

    def trained(seed: int, model: SpikingNetwork) -> Variables:
        del model
        return trained_variables(of_seed(seed), dataset, updates, folder / f"seed-{seed}")

    from hdlif_jax.commands.support.inputs import comparison_batch

    batch = comparison_batch(make_trainer(of_seed(seeds[0]), dataset, one_device()))
    return hd.analysis.separability.study(untrained, make_loss(base.learning), batch, trained, seeds, layer=layer)


def trained_variables(config: TrainConfig, dataset: Dataset, updates: int, folder: pathlib.Path) -> Variables:
    """The variables after the given number of updates, from the folder if it has them.

    Raises:
      TrainingDiverged: the last loss is not finite.
    """
    import jax.numpy as jnp

    trainer = make_trainer(config, dataset, one_device())
    directory = RunDirectory(folder)
    if not (folder / "config.json").is_file():
        directory.create(config, dataset)
    checkpoints = hd.training.Checkpoints(directory.checkpoints)
    if directory.config() == config and updates in checkpoints.steps():
        state = checkpoints.load(trainer.initial_state, updates)
    else:
        state = trainer.initial_state
        for step in range(updates):
            state, metrics = trainer.train_step(state, trainer.batch(step))
        if not jnp.isfinite(metrics.loss):
            raise hd.training.TrainingDiverged(
                f"the loss of {folder} is {metrics.loss} after {updates} updates; there are no gradients to compare"
            )
        checkpoints.save(state)
    checkpoints.close()
    return state.variables


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "separability")
    out = output_directory(arguments)
    config = PRESETS[arguments.preset].config
    studies: dict[str, ModelStudy] = {}
    samples: dict[str, Contributions] = {}
    seeds, updates = arguments.seeds, arguments.updates
    trainings = len(arguments.models) * len(seeds)
    console.print(f"{trainings} trainings of {updates} updates on {config.data.name}, and comparisons.\n{USUAL}")
    use_compilation_cache()
    started = time.perf_counter()
    for number, name in enumerate(arguments.models, 1):
        with phase(f"{name}: training {len(seeds)} networks and comparing gradients"):
            studies[name], samples[name] = study_neurons(name, config, seeds, updates, out / "models" / name)
        seconds = time.perf_counter() - started
        left = (len(arguments.models) - number) * seconds / number
        console.print(f"{name}: done after {seconds:.0f} s" + (f", about {left:.0f} s left" if left else ""))
    write_json(
        out / "separability.json",
        {
            "preset": arguments.preset,
            "updates": arguments.updates,
            "seeds": list(arguments.seeds),
            "num_steps": config.model.num_steps,
            "device": device_name(),
            "models": studies,
        },
    )
    import matplotlib

    from hdlif_jax.analysis.separability.figures import plot_all

    matplotlib.use("Agg")  # pictures are files
    with phase("drawing"):
        plot_all(out, studies, samples)
    console.print(table(studies))
    console.print(f"results in {out}")


if __name__ == "__main__":
    main()
