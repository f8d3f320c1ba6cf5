"""Pictures of a study; rows differ in colour, brightness, marker and line, so that they can be told apart in grey."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib import ticker

from hdlif_jax.commands.support.study_figures import FIGURES, Row, Spread, spread

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "d")
DECADE = 10  # costs that are further apart are drawn by their orders of magnitude
DOUBLED = 10  # time-steps; more are drawn by doublings, so that networks of few are to be seen
LINES = ("-", "--", "-.", ":")
# Axes of the radar, the paper's Fig. 1: outside is more.
RADAR = {
    "train_seconds": "training time",
    "step_memory_mb": "memory of a step",
    "accuracy": "accuracy",
    "param_mb": "parameters",
    "power_mj": "energy",
    "nops_m": "NOPs",
}


class Style:
    """How the rows of a study look, the same in all pictures."""

    def __init__(self, rows: Sequence[Row]):
        shades = plt.get_cmap("viridis")(np.linspace(0, 0.88, max(2, len(rows))))
        self._of = {
            row.name: {
                "color": shades[index],
                "marker": MARKERS[index % len(MARKERS)],
                "linestyle": LINES[index % len(LINES)],
            }
            for index, row in enumerate(rows)
        }

    def line(self, name: str) -> dict[str, Any]:
        """For `plot`."""
        return self._of[name] | {"label": name, "markersize": 5}

    def point(self, name: str) -> dict[str, Any]:
        """For `errorbar` of a single point."""
        look = dict(self._of[name])
        look.pop("linestyle")
        return look | {"label": name, "linestyle": "none", "capsize": 3, "markersize": 8}


def plot_study(folder: pathlib.Path, title: str, rows: Sequence[Row]) -> list[pathlib.Path]:
    """Draws all pictures of a study.

    Args:
      folder: for the PNGs.
      title: of the study.
      rows: of the study.

    Returns:
      The files.
    """
    style, files = Style(rows), []
    drawings: dict[str, Callable[[Sequence[Row], Style], plt.Figure]] = {
        "radar": radar,
        "steps": accuracy_over_steps,
        "pareto": pareto,
        "curves": learning_curves,
    }
    for name, draw in drawings.items():
        figure = draw(rows, style)
        figure.suptitle(title, fontsize=11)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
        plt.close(figure)
    return files


def radar(rows: Sequence[Row], style: Style) -> plt.Figure:
    """What each row costs and gains, each axis as a share of the largest (the paper's Fig. 1)."""
    names = [name for name in RADAR if all(row.figures[name].mean is not None for row in rows)]
    angles = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
    figure = plt.figure(figsize=(7.5, 6.5), layout="constrained")
    axes: Any = figure.add_subplot(projection="polar")
    largest = {name: max(_mean(row.figures[name]) for row in rows) for name in names}
    for row in rows:
        shares = [_mean(row.figures[name]) / largest[name] if largest[name] else 0.0 for name in names]
        axes.plot([*angles, angles[0]], [*shares, shares[0]], **style.line(row.name))
    labels = [f"{RADAR[name]}\n(1 is {largest[name]:.3g}{_unit(name)})" for name in names]
    axes.set_xticks(angles, labels)
    axes.tick_params(axis="x", pad=30)
    axes.set_rlim(0, 1.05)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0])
    axes.set_rlabel_position(180 / max(1, len(names)))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def accuracy_over_steps(rows: Sequence[Row], style: Style) -> plt.Figure:
    """Test accuracy after 1…T time-steps (the paper's Fig. 4), with the deviation over seeds."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for row in rows:
        steps = np.arange(1, len(row.accuracy_per_step) + 1)
        means = np.array([_mean(accuracy) for accuracy in row.accuracy_per_step])
        _band(axes, steps, means, row.accuracy_per_step, style, row.name)
    axes.set(xlabel="time-steps used", ylabel="test accuracy (%)")
    longest = max(len(row.accuracy_per_step) for row in rows)
    if longest > DOUBLED:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda steps, _: f"{steps:g}"))
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def pareto(rows: Sequence[Row], style: Style) -> plt.Figure:
    """Accuracy against energy and against parameter memory; the line joins what nothing surpasses in both."""
    figure, both = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
    for axes, name in zip(both, ("power_mj", "param_mb"), strict=True):
        points = []
        for row in rows:
            cost, accuracy = row.figures[name], row.figures["accuracy"]
            points.append((_mean(cost), _mean(accuracy)))
            axes.errorbar(
                *points[-1], xerr=cost.deviation or None, yerr=accuracy.deviation or None, **style.point(row.name)
            )
        front = sorted(point for point in points if not any(_surpasses(other, point) for other in points))
        axes.plot(*zip(*front, strict=True), color="0.5", linewidth=1, zorder=0)
        axes.set_xlabel(FIGURES[name].label)
        costs = [cost for cost, _ in points if cost > 0]
        if costs and max(costs) > DECADE * min(costs):
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.grid(alpha=0.3, which="both")
    both[0].set_ylabel("test accuracy (%)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def learning_curves(rows: Sequence[Row], style: Style) -> plt.Figure:
    """Loss and accuracy of training, and validation where there is one, by epoch, with the deviation over seeds."""
    validates = all(run.epochs[-1]["validation_accuracy_per_step"] for row in rows for run in row.runs.values())
    figure, both = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    name = "validation" if validates else "training"
    for row in rows:
        logs = [run.epochs for run in row.runs.values()]
        shortest = min(map(len, logs))
        epochs = np.array([record["epoch"] for record in logs[0][:shortest]])
        losses = [spread([log[index]["train_loss"] for log in logs]) for index in range(shortest)]
        accuracies = [spread([_accuracy(log[index], validates) for log in logs]) for index in range(shortest)]
        for axes, values in zip(both, (losses, accuracies), strict=True):
            _band(axes, epochs, np.array([_mean(value) for value in values]), values, style, row.name)
    both[0].set(xlabel="epoch", ylabel="training loss")
    both[1].set(xlabel="epoch", ylabel=f"{name} accuracy (%)")
    for axes in both:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _band(axes: plt.Axes, x: np.ndarray, means: np.ndarray, values: Sequence[Spread], style: Style, name: str) -> None:
    line = style.line(name) | {"markevery": max(1, len(x) // 8)}
    axes.plot(x, means, **line)
    deviations = np.array([value.deviation or 0.0 for value in values])
    if deviations.any():
        axes.fill_between(x, means - deviations, means + deviations, color=line["color"], alpha=0.15, linewidth=0)


def _accuracy(record: dict[str, Any], validates: bool) -> float:
    if validates:
        per_step = record["validation_accuracy_per_step"]
        return 100 * float(per_step[-1])
    return 100 * float(record["train_accuracy"])


def _surpasses(other: tuple[float, float], point: tuple[float, float]) -> bool:
    return other != point and other[0] <= point[0] and other[1] >= point[1]


def _mean(value: Spread) -> float:
    return float("nan") if value.mean is None else value.mean


def _unit(name: str) -> str:
    label = FIGURES[name].label
    return f" {label[label.index('(') + 1 : -1]}" if "(" in label else ""
