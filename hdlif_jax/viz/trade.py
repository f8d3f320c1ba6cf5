"""What accuracy costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import Numbers, by_name, same_names
from hdlif_jax.viz.canvas import legend_below, new_figure, place, plain_ticks
from hdlif_jax.viz.looks import GREY, looks

RINGS = (0.25, 0.5, 0.75, 1.0)  # of a radar, with labels
DECADE = 10  # costs that are further apart are drawn by their orders of magnitude


def pareto(
    costs: Mapping[str, ArrayLike],
    accuracies: Mapping[str, ArrayLike],
    *,
    xlabel: str = "cost",
    ylabel: str = "test accuracy (%)",
    axes: Axes | None = None,
) -> Figure:
    """Accuracy against a cost; the line joins what nothing surpasses in both.

    Args:
      costs: by name, a number, or `[S]` of S seeds, whose standard deviation is drawn.
      accuracies: by the same names, in percent, likewise.
      xlabel: which cost it is, and its unit.
      ylabel: which accuracy it is.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no numbers, or of other names.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.pareto({"lif": 3.0, "hd-lif": 1.0, "wide": 5.0}, {"lif": 90, "hd-lif": 95, "wide": 97})
      >>> figure.axes[0].lines[-1].get_xydata().tolist()  # nothing is better than these and cheaper
      [[1.0, 95.0], [5.0, 97.0]]
    """
    both = [by_name(name, values, "a number, or [S]: seeds", ndim=(0, 1)) for name, values in
            (("costs", costs), ("accuracies", accuracies))]  # fmt: skip
    same_names("accuracies", both[1], both[0], "costs")
    figure, panel = place(axes)
    points: list[tuple[float, float]] = []
    for name, look in looks(list(both[0])).items():
        cost, accuracy = both[0][name], both[1][name]
        points.append((float(cost.mean()), float(accuracy.mean())))
        spreads = [float(values.std(ddof=1)) if values.size > 1 else 0.0 for values in (cost, accuracy)]
        panel.errorbar(*points[-1], xerr=spreads[0] or None, yerr=spreads[1] or None, **look.point(name))
    front = sorted(point for point in points if not any(_surpasses(other, point) for other in points))
    panel.plot(*zip(*front, strict=True), color=GREY, linewidth=1, zorder=0)
    positive = [cost for cost, _ in points if cost > 0]
    if len(positive) == len(points) and max(positive) > DECADE * min(positive):
        panel.set_xscale("log")
        plain_ticks(panel, *panel.get_xlim())
    else:
        panel.set_xlim(0, max(panel.get_xlim()[1], 1.1 * max(cost for cost, _ in points)))
    panel.xaxis.set_minor_formatter(ticker.NullFormatter())
    panel.set(xlabel=xlabel, ylabel=ylabel)
    panel.grid(alpha=0.3, which="both")
    if axes is None:
        legend_below(figure, panel)
    return figure


def radar(values: Mapping[str, ArrayLike], quantities: Sequence[str], *, units: Sequence[str] | None = None) -> Figure:
    """What each row costs and gains, each axis as a share of the largest (the paper's Fig. 1).

    Args:
      values: by name, `[Q]`, one for each quantity, not negative.
      quantities: names of the axes, at least three.
      units: of the quantities, to be written behind their largest; None writes none.

    Raises:
      ValueError: shapes that do not fit, or negative values.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.radar({"lif": [9, 2, 4], "hd-lif": [3, 1, 5]}, ["time", "memory", "energy"], units=["s"] * 3)
      >>> figure.axes[0].get_xticklabels()[0].get_text().splitlines()
      ['time', '(1 is 9 s)']
    """
    names = [str(name) for name in quantities]
    if len(names) < 3:
        raise ValueError(f"quantities are {len(names)}; give at least 3, fewer are no radar")
    found = by_name("values", values, "[Q]: one for each quantity", ndim=1)
    for name, array in found.items():
        if len(array) != len(names) or np.any(array < 0):
            raise ValueError(f"values[{name!r}] are {array.tolist()}; give {len(names)}, none negative")
    if units is not None and len(units) != len(names):
        raise ValueError(f"units are {len(units)} and quantities {len(names)}; give one for each")
    angles = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
    figure = new_figure(9, 6.5)
    axes: Any = figure.add_subplot(projection="polar")
    largest = np.max(list(found.values()), axis=0)
    shares = [np.divide(row, largest, out=np.zeros_like(largest), where=largest > 0) for row in found.values()]
    for row, (name, look) in zip(shares, looks(list(found)).items(), strict=True):
        axes.plot([*angles, angles[0]], [*row, row[0]], **look.line(name))
    behind = ["" if not unit else f" {unit}" for unit in (units or [""] * len(names))]
    labels = [f"{name}\n(1 is {_short(most)}{unit})" for name, most, unit in zip(names, largest, behind, strict=True)]
    axes.set_xticks(angles, labels)
    axes.tick_params(axis="x", pad=max(18.0, 2.8 * max(map(len, "\n".join(labels).split("\n")))))  # off the circle
    axes.set_rlim(0, 1.05)
    axes.set_yticks(RINGS)
    axes.set_rlabel_position(np.degrees(_free_ray(np.array(shares))))
    axes.grid(alpha=0.3)
    legend_below(figure, axes)
    return figure


def _short(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _free_ray(shares: Numbers) -> float:
    """The angle, half-way between two axes, where the outlines of `[N, Q]` cross farthest from the rings' labels."""
    half = np.pi / shares.shape[1]
    here, next_ = shares, np.roll(shares, -1, axis=1)
    total = here + next_
    crossings = np.divide(2 * here * next_, total, out=np.zeros_like(total), where=total > 0) * np.cos(half)
    room = np.abs(crossings[:, :, None] - np.array(RINGS)).min(axis=(0, 2))  # [Q]
    return float(half * (2 * np.argmax(room) + 1))


def _surpasses(other: tuple[float, float], point: tuple[float, float]) -> bool:
    return other != point and other[0] <= point[0] and other[1] >= point[1]
