"""Where a drawing goes: a figure of its own, or axes of the caller's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from hdlif_jax.viz.arrays import Numbers
from hdlif_jax.viz.looks import Look

DARK = 0.55  # of the range of colours; below it what is written in is white
LEGEND_COLUMNS = 3
HANDLE, LETTER = 0.6, 0.085  # inches, of what stands before a name in a legend, and of a letter


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that pyplot does not know of."""
    return Figure(figsize=(width, height), layout="constrained")


def place(axes: Axes | None, width: float = 7.0, height: float = 4.6) -> tuple[Figure, Axes]:
    """The axes to draw in, and their figure; new ones where none are given."""
    if axes is None:
        figure = new_figure(width, height)
        return figure, figure.add_subplot()
    figure = axes.figure.figure  # of a subfigure, the whole
    assert isinstance(figure, Figure)
    return figure, axes


def legend_below(figure: Figure, axes: Axes) -> None:
    """A legend below the panels, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    handles = [handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles]
    if labels:
        inches = HANDLE + LETTER * max(map(len, labels))  # of an entry
        columns = int(figure.get_figwidth() / inches)
        figure.legend(handles, labels, loc="outside lower center", ncols=min(LEGEND_COLUMNS, max(1, columns)))


def band(axes: Axes, x: Numbers, series: Numbers, look: Look, name: str) -> None:
    """The mean of `series [S, E]`, with one standard deviation to both sides where there are several."""
    middle = series.mean(0)
    axes.plot(x, middle, **look.line(name, len(x)))
    if len(series) > 1:
        spread = series.std(0, ddof=1)
        axes.fill_between(x, middle - spread, middle + spread, color=look.color, alpha=0.15, linewidth=0)


def whole_numbers(axes: Axes) -> None:
    """Ticks of time-steps or epochs."""
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, steps=[1, 2, 5, 10]))  # the last of 20, too


def plain_ticks(axes: Axes, low: float, high: float, first: tuple[float, ...] = ()) -> None:
    """Limits of x, and 1, 2 and 5 times powers of ten between them, or powers of ten where that is too many."""
    factors = (1, 2, 5) if high < 50 * low else (1,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    axes.xaxis.set_major_locator(ticker.FixedLocator([*first, *(tick for tick in ticks if low <= tick <= high)]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlim(*([0, high] if first else [low, high]))


def name_layers(axes: Axes, layers: Sequence[str]) -> None:
    """Names of layers at x = 0, 1, …, short and slanted."""
    axes.set_xticks(range(len(layers)), [short(layer) for layer in layers], rotation=40, ha="right",
                    rotation_mode="anchor")  # fmt: skip


def short(layer: str) -> str:
    """A layer's path without what all layers' paths begin with."""
    for prefix in ("blocks.", "units.", "layers."):
        layer = layer.removeprefix(prefix)
    return layer.removesuffix(".conv")


def heat(
    axes: Axes,
    values: Numbers,
    limits: tuple[float, float],
    text: Callable[[float], str] | None,
    colors: str = "viridis",
) -> Any:
    """Values `[rows, columns]` as colours, with texts of them written in where a function says which; NaN is empty."""
    low, high = limits
    image = axes.imshow(values, vmin=low, vmax=high, cmap=colors, aspect="auto")
    if text is None:
        return image
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        share = (values[row, column] - low) / (high - low) if high > low else 0.0
        dark = (1 - share if colors.endswith("_r") else share) < DARK
        axes.text(
            column, row, text(values[row, column]), ha="center", va="center", fontsize=8, color="w" if dark else "k"
        )
    return image
