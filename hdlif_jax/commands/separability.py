"""Compares the gradients of neurons, or of systems: `hdlif separability [--models lif ...]`."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Any, Literal

import hdlif_jax as hd
from hdlif_jax.checks import Count, check_fields
from hdlif_jax.commands.config import ModelConfig, TrainConfig
from hdlif_jax.commands.make import make_loss, make_model, make_trainer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.registry import NETWORKS, NEURONS
from hdlif_jax.commands.support.cli import console, parse, where_presets_are
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import one_device, use_compilation_cache
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.other_data import OtherData
from hdlif_jax.commands.support.planned import Planned, do_all
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import RunDirectory, device_name, read_json, write_json
from hdlif_jax.commands.support.runs import load_dataset
from hdlif_jax.commands.support.whole_run import is_trained, train

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

    The default takes about ten minutes on two cores; --seeds 0 takes a fifth. Of systems, named by their presets, each
    one's own gradient is compared with STBP of its own network.
    """

    models: tuple[str, ...] = ("lif", "hd-lif", "parallel", "mem-bn")
    """Neuron models: lif (triangle surrogate), hd-lif, parallel (half of the neurons; in a VGG all), mem-bn. Or
    systems: presets of one dataset, such as digits-ottt; each is trained as the preset says."""
    preset: str = "digits"
    """Preset whose data, network size and optimiser all neuron models get."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the initial kernels, the data order and the drawn time-steps; figures are means over them."""
    updates: int = 300
    """Updates of training of neuron models before the second comparison."""
    recipe: Literal["own", "common"] = "own"
    """How systems are trained: as each paper does, or all by the same augmentation, optimiser and epochs."""
    epochs: Count | None = None
    """Epochs of training of systems before the second comparison; None is the preset's."""
    data: OtherData = OtherData()
    runs: pathlib.Path | None = None
    """Folder of runs of systems, NAME/seed-SEED, such as STUDY/runs of a study; those that are there and finished
    are not trained again; what the others print is in NAME/seed-SEED.log. OUT/systems by default."""
    out: pathlib.Path | None = None
    """Where results and trained models go; runs/separability-TIME by default. A second call loads the models."""

    def __post_init__(self):
        """Raises TypeError or ValueError for values out of range, and for names of nothing."""
        check_fields(self)
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
        for name in self.models:
            if name not in NEURONS and name not in PRESETS:
                nearest = did_you_mean(name, [*NEURONS, *PRESETS])
                raise ValueError(f"--models {name!r} is no neuron model and no preset; {nearest}{where_presets_are()}")
            if name not in NEURONS and PRESETS[name].config.model.num_steps < 2:
                raise ValueError(
                    f"--models {name} has one time-step, so that its gradient is the full one; name presets of more"
                )
        datasets = {PRESETS[name].config.data.name: name for name in self.systems}
        if len(datasets) > 1:
            one, other, *_ = datasets.values()
            raise ValueError(f"--models {one} and {other} are of different datasets; compare systems of one")
        for name in self.systems:
            PRESETS[name].recipe(self.recipe)  # refuses one that it does not have

    @property
    def neurons(self) -> tuple[str, ...]:
        """Those of the models that are neurons."""
        return tuple(name for name in self.models if name in NEURONS)

    @property
    def systems(self) -> tuple[str, ...]:
        """Those of the models that are presets."""
        return tuple(name for name in self.models if name not in NEURONS)

    def config_of(self, system: str) -> TrainConfig:
        """How a system is trained."""
        config = self.data.in_place_of(PRESETS[system].recipe(self.recipe))
        return dataclasses.replace(config, epochs=self.epochs or config.epochs)

    def trainings(self, folder: pathlib.Path) -> list[Planned]:
        """Of the systems, in a folder of runs."""
        return [
            Planned(name, seed, dataclasses.replace(self.config_of(name), seed=seed), folder / name / f"seed-{seed}")
            for name in self.systems
            for seed in self.seeds
        ]


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
    description: dict[str, Any] = {"preset": arguments.preset, "updates": arguments.updates}
    if arguments.data != OtherData():
        description["data"] = dataclasses.asdict(arguments.data)
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
    return hd.analysis.separability.study(
        untrained, make_loss(base.learning, base.model.num_steps), batch, trained, seeds, layer=layer
    )


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


class Countdown:
    """Says how long the rest of equal parts will take."""

    def __init__(self, parts: int):
        self._parts, self._done, self._started = parts, 0, time.perf_counter()

    def part(self, name: str) -> None:
        """Says that a part is done."""
        self._done += 1
        seconds = time.perf_counter() - self._started
        left = (self._parts - self._done) * seconds / self._done
        console.print(f"{name}: done after {seconds:.0f} s" + (f", about {left:.0f} s left" if left else ""))


def show_neurons(out: pathlib.Path, studies: dict[str, ModelStudy], samples: dict[str, Contributions]) -> None:
    """Draws and prints what was found of neuron models."""
    from hdlif_jax.commands.support.separability_plots import plot_all

    with phase("drawing"):
        plot_all(out, studies, samples)
    console.print(table(studies))


def show_systems(out: pathlib.Path, systems: dict[str, Any], dataset: str, seeds: tuple[int, ...]) -> None:
    """Draws and prints what was found of systems, the best first."""
    from hdlif_jax.commands.support.separability_plots import systems_figure
    from hdlif_jax.commands.support.system_tables import systems_markdown, systems_table
    from hdlif_jax.commands.support.systems import by_cosine, short_names

    systems = by_cosine(dict(zip(short_names(list(systems)), systems.values(), strict=True)))
    title = "Each system's own gradient against STBP of its own network"
    with phase("drawing"):
        figure = systems_figure(systems, f"{title}: {dataset}, {len(seeds)} seed{'s' * (len(seeds) > 1)}")
        figure.savefig(out / "systems.png", dpi=120)
    (out / "systems.md").write_text(systems_markdown(systems))
    console.print(systems_table(systems))


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "separability")
    out = output_directory(arguments)
    trainings = arguments.trainings(arguments.runs or out / "systems")
    if trainings:
        do_all(trainings, train, is_trained)  # first, as on accelerators this process will take memory
    base, names, seeds, updates = (
        arguments.data.in_place_of(PRESETS[arguments.preset].config),
        arguments.neurons,
        arguments.seeds,
        arguments.updates,
    )
    results: dict[str, Any] = {
        "preset": arguments.preset,
        "updates": updates,
        "seeds": list(seeds),
        "num_steps": base.model.num_steps,
        "device": device_name(),
        "models": {},
        "systems": {},
    }
    samples: dict[str, Contributions] = {}
    use_compilation_cache()
    if names:
        console.print(
            f"{len(names) * len(seeds)} trainings of {updates} updates on {base.data.name}, and comparisons.\n{USUAL}"
        )
    clock = Countdown(len(arguments.models))
    for name in names:
        with phase(f"{name}: training {len(seeds)} networks and comparing gradients"):
            results["models"][name], samples[name] = study_neurons(name, base, seeds, updates, out / "models" / name)
        clock.part(name)
    for name in arguments.systems:
        from hdlif_jax.commands.support.systems import study_system

        runs = {run.seed: run.path for run in trainings if run.variant == name}
        results["systems"][name] = study_system(arguments.config_of(name), runs)
        write_json(out / "separability.json", results)  # after each, as they take long
        clock.part(name)
    write_json(out / "separability.json", results)
    if names:
        show_neurons(out, results["models"], samples)
    if arguments.systems:
        show_systems(out, results["systems"], arguments.config_of(arguments.systems[0]).data.name, seeds)
    console.print(f"results in {out}")


if __name__ == "__main__":
    main()
