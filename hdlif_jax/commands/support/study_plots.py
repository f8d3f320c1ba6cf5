"""Pictures of a study: its rows, as arrays for `hdlif_jax.viz`."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hdlif_jax import viz
from hdlif_jax.commands.support.plots import DPI
from hdlif_jax.commands.support.study_figures import FIGURES, Row, Spread
from hdlif_jax.viz.canvas import legend_below, new_figure

# Axes of the radar, the paper's Fig. 1: outside is more.
RADAR = {
    "train_seconds": "training time",
    "step_memory_mb": "memory of a step",
    "accuracy": "accuracy",
    "param_mb": "parameters",
    "power_mj": "energy",
    "nops_m": "NOPs",
}


def plot_study(folder: pathlib.Path, title: str, rows: Sequence[Row]) -> list[pathlib.Path]:
    """Draws all pictures of a study.

    Args:
      folder: for the PNGs.
      title: of the study.
      rows: of the study.

    Returns:
      The files.
    """
    files = []
    drawings: dict[str, Callable[[Sequence[Row]], Figure]] = {
        "radar": radar,
        "steps": accuracy_over_steps,
        "pareto": pareto,
        "curves": learning_curves,
    }
    for name, draw in drawings.items():
        figure = draw(rows)
        figure.suptitle(title, fontsize=11)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=DPI)
    return files


def radar(rows: Sequence[Row]) -> Figure:
    """What each row costs and gains (the paper's Fig. 1); what some row does not know is left out."""
    names = [name for name in RADAR if all(row.figures[name].mean is not None for row in rows)]
    values = {row.name: [row.figures[name].mean or 0.0 for name in names] for row in rows}
    return viz.radar(values, [RADAR[name] for name in names], units=[_unit(name) for name in names])


def accuracy_over_steps(rows: Sequence[Row]) -> Figure:
    """Test accuracy after 1…T time-steps (the paper's Fig. 4), with the deviation over seeds."""
    shares = {row.name: np.array([_present(step) for step in row.accuracy_per_step]).T / 100 for row in rows}
    figure = viz.steps(shares)
    figure.axes[0].set_title("")
    return figure


def pareto(rows: Sequence[Row]) -> Figure:
    """Accuracy against energy and against parameter memory."""
    figure = new_figure(11, 5)
    both = figure.subplots(1, 2, sharey=True)
    for axes, name in zip(both, ("power_mj", "param_mb"), strict=True):
        known = [row for row in rows if row.figures[name].mean is not None]
        viz.pareto(
            {row.name: _present(row.figures[name]) for row in known},
            {row.name: _present(row.figures["accuracy"]) for row in known},
            xlabel=FIGURES[name].label,
            axes=axes,
        )
    both[1].set_ylabel("")
    legend_below(figure, both[0])
    return figure


def learning_curves(rows: Sequence[Row]) -> Figure:
    """Loss and accuracy of training, and validation where there is one, by epoch, with the deviation over seeds."""
    validates = all(run.epochs[-1]["validation_accuracy_per_step"] for row in rows for run in row.runs.values())
    figure = new_figure(11, 5)
    losses, accuracies = figure.subplots(1, 2)
    read = _validation if validates else _training
    name = f"{'validation' if validates else 'training'} accuracy (%)"
    for axes, ylabel, number in ((losses, "training loss", _loss), (accuracies, name, read)):
        x, values = {}, {}
        for row in rows:
            logs = [run.epochs for run in row.runs.values()]
            shortest = min(map(len, logs))
            x[row.name] = [record["epoch"] for record in logs[0][:shortest]]
            values[row.name] = [[number(record) for record in log[:shortest]] for log in logs]
        viz.curves(x, values, ylabel=ylabel, axes=axes)
    legend_below(figure, losses)
    return figure


def _loss(record: dict[str, Any]) -> float:
    return float(record["train_loss"])


def _training(record: dict[str, Any]) -> float:
    return 100 * float(record["train_accuracy"])


def _validation(record: dict[str, Any]) -> float:
    return 100 * float(record["validation_accuracy_per_step"][-1])


def _present(value: Spread) -> list[float]:
    return [number for number in value.values if number is not None]


def _unit(name: str) -> str:
    label = FIGURES[name].label
    return label[label.index("(") + 1 : -1] if "(" in label else ""
