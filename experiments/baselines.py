"""Trains systems on one dataset over several seeds and tables them: `python -m experiments.baselines [--presets ...]`.

Every run is one of the train command, in RUNS/PRESET/seed-SEED: what is finished is not trained again, what was stopped
goes on. `python -m experiments.separability --models PRESETS --runs RUNS` compares the gradients of the same networks.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from hdlif_jax.checks import Count, check_fields
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies.baselines import systems_on
from hdlif_jax.commands.support.cli import console, did_you_mean, parse, where_presets_are
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.execution import use_compilation_cache
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import RunDirectory, device_name, read_json, write_json
from hdlif_jax.commands.support.system_tables import aligned, markdown, short, with_spread
from hdlif_jax.commands.support.trained import finished_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = pathlib.Path(__file__).parent / "results"
ENOUGH = 0.96  # test accuracy that digits are to reach


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains presets over seeds and writes baselines-DATASET.json, .md and .png: accuracy, time, memory and costs."""

    presets: tuple[str, ...] = ()
    """Presets of one dataset; all systems on the digits by default."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each."""
    recipe: Literal["own", "common"] = "own"
    """own: as each paper trains. common: the same augmentation, optimiser and epochs for all."""
    epochs: Count | None = None
    """Of every run; None is the preset's."""
    images: Count = 256
    """Test images on which operations are counted."""
    runs: pathlib.Path | None = None
    """Folder of the runs; runs/baselines-RECIPE by default."""
    out: pathlib.Path = RESULTS
    """Where the table goes."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values out of range, and for names of nothing."""
        check_fields(self)
        for name in self.presets:
            if name not in PRESETS:
                raise ValueError(f"unknown preset {name!r}; {did_you_mean(name, PRESETS)}{where_presets_are()}")
        for field, values in (("presets", self.names), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"--{field} {' '.join(map(str, values))} must name at least one, each once")
        if min(self.seeds) < 0:
            raise ValueError(f"--seeds {' '.join(map(str, self.seeds))} must not be negative")
        if len({PRESETS[name].config.data.name for name in self.names}) > 1:
            raise ValueError("--presets are of different datasets; give those of one")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the presets."""
        return self.presets or systems_on("digits")

    def config(self, name: str, seed: int) -> TrainConfig:
        """Of a run."""
        config = PRESETS[name].recipe(self.recipe)
        return dataclasses.replace(config, seed=seed, epochs=self.epochs or config.epochs)


def measure(runs: list[RunDirectory], images: int) -> dict[str, Any]:
    """What the finished runs of a system say, and what its network costs."""
    import hdlif_jax as hd
    from hdlif_jax.commands.support.inputs import real_batches
    from hdlif_jax.commands.support.runs import load_dataset, load_run
    from hdlif_jax.commands.support.systems import MEMORY_STEPS, spread, temp_mb

    summaries = [read_json(run.path / "summary.json") for run in runs]
    trained = load_run(runs[0].path)
    batches = real_batches(trained.config, load_dataset(trained.config, trained.info), images)
    seconds = [summary["train_seconds"] + summary.get("first", {}).get("train_seconds", 0) for summary in summaries]
    per_step = [summary["accuracy_per_step"] for summary in summaries]
    return {
        "accuracy": spread([summary["test_accuracy"] for summary in summaries]),
        "accuracy_per_step": [spread(accuracies) for accuracies in zip(*per_step, strict=True)],
        "epochs": trained.config.epochs,
        "train_seconds": spread(seconds),  # with those of what came first
        "first": summaries[0].get("first"),
        "step_ms": spread([summary["step_milliseconds"] for summary in summaries]),
        "peak_mb": spread([summary["peak_memory_mb"] for summary in summaries]),
        "temp_mb": {str(num_steps): temp_mb(runs[0], num_steps) for num_steps in MEMORY_STEPS},
        "costs": hd.analysis.measure(trained.model, batches).summary(),
    }


def shown_steps(systems: Mapping[str, Any]) -> list[int]:
    """Of which time-steps the accuracy is shown: the first four, and powers of two."""
    most = max(len(row["accuracy_per_step"]) for row in systems.values())
    return [t for t in range(1, most + 1) if t <= 4 or t & (t - 1) == 0 or t == most]


def after_steps(row: Mapping[str, Any], steps: Sequence[int]) -> list[float]:
    """Mean accuracy in % after these numbers of time-steps; NaN where there are fewer."""
    means = [100 * step["mean"] for step in row["accuracy_per_step"]]
    return [means[t - 1] if t <= len(means) else math.nan for t in steps]


def columns(systems: Mapping[str, Any]) -> dict[str, list[str]]:
    """The table by columns, for readers."""
    rows = list(systems.values())
    few, many = rows[0]["temp_mb"]
    costs, steps = [row["costs"] for row in rows], shown_steps(systems)
    return {
        "system": list(systems),
        "accuracy %": [with_spread(row["accuracy"], 2, 100) for row in rows],
        f"after {' '.join(map(str, steps))} steps %": [
            " ".join(f"{value:.1f}" for value in after_steps(row, steps) if not math.isnan(value)) for row in rows
        ],
        "training s": [with_spread(row["train_seconds"], 0) for row in rows],
        "step ms": [with_spread(row["step_ms"], 1) for row in rows],
        f"MB T={few}": [short(row["temp_mb"][few]) for row in rows],
        f"MB T={many}": [short(row["temp_mb"][many]) for row in rows],
        "peak MB": [with_spread(row["peak_mb"], 0) for row in rows],
        "weights MB": [short(cost["param_mb_paper"]) for cost in costs],
        "SOPs M": [short(cost["sops_m"]) for cost in costs],
        "NOPs M": [short(cost["nops_m"]) for cost in costs],
        "energy µJ": [short(1e3 * cost["power_mj_paper"]) for cost in costs],
    }


def figure_of(systems: Mapping[str, Any], title: str) -> Figure:
    """Systems in rows: accuracy of each seed, accuracy after 1…T steps, memory, time and energy."""
    import numpy as np
    from matplotlib import pyplot as plt

    from hdlif_jax.analysis.separability.systems_figure import heat, memories

    rows, places = list(systems.values()), np.arange(len(systems))
    figure, (accuracy, steps, memory, time, energy) = plt.subplots(
        1,
        5,
        figsize=(17, 1.9 + 0.42 * len(rows)),
        layout="constrained",
        sharey=True,
        width_ratios=(1.2, 1.6, 1, 0.8, 0.8),
    )
    figure.suptitle(title)
    for place, row in enumerate(rows):
        seeds = [100 * value for value in row["accuracy"]["per_seed"]]
        accuracy.scatter(
            seeds, [place] * len(seeds), 18, color="tab:blue", alpha=0.6, label=None if place else "a seed"
        )
    accuracy.scatter([100 * row["accuracy"]["mean"] for row in rows], places, 120, color="k", marker="|", label="mean")
    accuracy.axvline(100 * ENOUGH, color="tab:gray", linestyle="--", linewidth=1)
    accuracy.set(title="Test accuracy, seeds and mean", xlabel="%")
    shown = shown_steps(systems)
    after = np.array([after_steps(row, shown) for row in rows])
    heat(steps, after, (max(0, 100 * ENOUGH - 20), 100), lambda value: f"{value:.1f}")
    steps.set_xticks(range(len(shown)), shown)
    steps.set(title="Accuracy after t steps, %", xlabel="t")
    memories(memory, [row["temp_mb"] for row in rows])
    time.barh(places, [row["step_ms"]["mean"] for row in rows], 0.6, color="tab:gray")
    time.set(title="A training step", xlabel="ms")
    energy.barh(places, [1e3 * row["costs"]["power_mj_paper"] for row in rows], 0.6, color="tab:purple")
    energy.set(title="Energy of an image", xlabel="µJ")
    for axes in (accuracy, memory, time, energy):
        axes.grid(alpha=0.3, axis="x")
        axes.set_axisbelow(True)
    figure.legend(loc="outside lower right", ncols=4, fontsize=8)
    accuracy.set_yticks(places, list(systems))
    accuracy.set_ylim(len(rows) - 0.5, -0.5)
    return figure


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "baselines")
    folder = arguments.runs or pathlib.Path("runs") / f"baselines-{arguments.recipe}"
    found: dict[str, Any] = {}
    for name in arguments.names:
        runs = [finished_run(arguments.config(name, seed), folder / name / f"seed-{seed}") for seed in arguments.seeds]
        use_compilation_cache()
        with phase(f"{name}: memory and operations"):
            found[name] = measure(runs, arguments.images)
        console.print(f"{name}: test accuracy {with_spread(found[name]['accuracy'], 4)}")
    from hdlif_jax.commands.support.systems import short_names

    best = sorted(found, key=lambda name: -found[name]["accuracy"]["mean"])
    systems = dict(zip(short_names(best), (found[name] for name in best), strict=True))
    dataset = PRESETS[best[0]].config.data.name
    stem = f"baselines-{dataset}" + ("" if arguments.recipe == "own" else f"-{arguments.recipe}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    what = {"dataset": dataset, "recipe": arguments.recipe, "seeds": list(arguments.seeds), "device": device_name()}
    write_json(arguments.out / f"{stem}.json", what | {"systems": found})
    table = columns(systems)
    cells = list(zip(*table.values(), strict=True))
    (arguments.out / f"{stem}.md").write_text(markdown(list(table), cells))
    import matplotlib

    matplotlib.use("Agg")  # pictures are files
    of_seeds = f"{len(arguments.seeds)} seed{'s' * (len(arguments.seeds) > 1)}"
    figure = figure_of(systems, f"{dataset}, {arguments.recipe} recipe, {of_seeds}, {what['device']}")
    figure.savefig(arguments.out / f"{stem}.png", dpi=120)
    shown = ["system", "accuracy %", "training s", "step ms", *list(table)[5:7], "SOPs M", "energy µJ"]
    console.print("\n".join(["", *aligned([shown, *zip(*(table[name] for name in shown), strict=True)]), ""]))
    if below := [name for name, row in systems.items() if row["accuracy"]["mean"] < ENOUGH]:
        console.print(f"below {ENOUGH}: {', '.join(below)}")
    console.print(f"{stem}.json, .md and .png in {arguments.out}")


if __name__ == "__main__":
    main()
