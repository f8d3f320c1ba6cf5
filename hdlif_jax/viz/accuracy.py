"""How often a network is right: while it learns, after 1…T time-steps, and for which class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import Numbers, by_name, numbers, shares
from hdlif_jax.viz.canvas import band, heat, legend_below, place, whole_numbers
from hdlif_jax.viz.curves import curves
from hdlif_jax.viz.intervals import decimals_of_percent, wilson
from hdlif_jax.viz.looks import BLACK, GREEN, looks

SHOWN_IMAGES = 10  # at least, on an axis of accuracies: one image more or less is no news
DOUBLED = 10  # time-steps; more are drawn by doublings, so that networks of few are to be seen
WRITTEN = 20  # classes of a confusion matrix into which counts are written
NAMED = 60  # and of which the names are written


def accuracy(
    epochs: ArrayLike,
    accuracies: Mapping[str, ArrayLike],
    *,
    test: float | None = None,
    num_test: int | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Accuracies by epoch, and that of the test images with its 95 % interval.

    Args:
      epochs: `[E]`.
      accuracies: by name, such as training and validation, `[E]` in [0, 1].
      test: test accuracy of the last epoch, in [0, 1]; None leaves it out.
      num_test: how many images that was counted on, for the interval.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: shapes that do not fit, or an accuracy out of range.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.accuracy([1, 2], {"training": [0.5, 0.7]}, test=0.6, num_test=100)
      >>> [line.get_label() for line in figure.axes[0].lines]
      ['training', 'test, last epoch']
    """
    percent = {name: 100 * array for name, array in by_name("accuracies", accuracies, "[E]", ndim=1).items()}
    figure, panel = place(axes)
    curves(epochs, percent, ylabel="accuracy (%)", title="Accuracy", axes=panel)
    if test is not None:
        shares("test", np.asarray([test], np.float64))
        panel.axhline(100 * test, label="test, last epoch", color=BLACK, linestyle=":", linewidth=1.5)
        if num_test is not None:
            low, high = wilson(test, num_test)
            panel.axhspan(100 * low, 100 * high, color=BLACK, alpha=0.12, linewidth=0)
    if axes is None:
        legend_below(figure, panel)
    return figure


def steps(
    accuracies: ArrayLike | Mapping[str, ArrayLike], *, num_test: int | None = None, axes: Axes | None = None
) -> Figure:
    """Test accuracy after 1…T time-steps (the paper's Fig. 4): of one network, or of several by name.

    Args:
      accuracies: `[T]` in [0, 1]; or by name `[T]`, or `[S, T]` of S seeds, with a band of one standard deviation.
      num_test: of one network, how many images it was counted on: the 95 % interval is drawn, and the axis shows no
        less than ten of them.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no accuracies in [0, 1].

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.steps([0.91, 0.95, 0.96], num_test=200)
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['91.0', '95.0', '96.0', '200 images: one is 0.5 %']
    """
    figure, panel = place(axes)
    if isinstance(accuracies, Mapping):
        found = by_name("accuracies", accuracies, "[T] or [S, T]: seeds, time-steps", ndim=(1, 2))
        _several(panel, found)
    else:
        values = numbers("accuracies", accuracies, "[T]: time-steps", ndim=1)
        shares("accuracies", values)
        _one(panel, values, num_test)
    panel.set(xlabel="time-steps used", ylabel="test accuracy (%)", title="Test accuracy after 1…T steps")
    panel.grid(alpha=0.3)
    if axes is None:
        legend_below(figure, panel)
    return figure


def confusion(
    counts: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    title: str = "Confusion",
    axes: Axes | None = None,
) -> Figure:
    """Which class is taken for which: each row is the true class, and its colours are shares of it.

    Args:
      counts: `[K, K]`, how many inputs of the class of the row were predicted as that of the column.
      class_names: K of them; None numbers the classes.
      title: of the panel.
      axes: where it goes; None makes a figure.

    Raises:
      ValueError: no square of counts, or another number of names.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.confusion([[9, 1], [0, 10]], ["cat", "dog"])
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['9', '1', '10']
    """
    square = numbers("counts", counts, "[K, K]: true classes, predicted classes", ndim=2)
    if square.shape[0] != square.shape[1] or np.any(square < 0):
        raise ValueError(f"counts have shape {square.shape} and the least is {square.min():g}; give counts [K, K]")
    names = [str(index) for index in range(len(square))] if class_names is None else list(map(str, class_names))
    if len(names) != len(square):
        raise ValueError(f"class_names are {len(names)} and classes {len(square)}; give one for each")
    size = min(11.0, max(5.0, 2.5 + 0.34 * len(names)))
    figure, panel = place(axes, size + 1, size)
    percent = 100 * square / np.maximum(1, square.sum(1, keepdims=True))
    image = heat(panel, percent, (0, 100), None, "Blues")
    if len(names) <= WRITTEN:
        for row, column in zip(*np.nonzero(square), strict=True):
            color = "w" if percent[row, column] > 45 else "k"
            panel.text(column, row, f"{square[row, column]:g}", ha="center", va="center", fontsize=8, color=color)
    if len(names) <= NAMED:
        size_of_names = 9 if len(names) <= WRITTEN else 6
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=size_of_names)
        panel.set_yticks(range(len(names)), names, fontsize=size_of_names)
    panel.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=panel, label="of the true class (%)", shrink=0.8)
    return figure


def _one(axes: Axes, values: Numbers, num_test: int | None) -> None:
    places, percent = np.arange(1, len(values) + 1), 100 * values
    axes.plot(places, percent, "o-", color=GREEN)
    digits = 1 if num_test is None else decimals_of_percent(num_test)
    if len(values) <= 2 * DOUBLED:
        for step, value in zip(places, percent, strict=True):
            axes.annotate(f"{value:.{digits}f}", (step, value), textcoords="offset points", xytext=(0, 8), ha="center",
                          bbox={"facecolor": "w", "alpha": 0.7, "linewidth": 0, "pad": 1})  # fmt: skip
    axes.set_xmargin(0.15)
    whole_numbers(axes)
    if num_test is None:
        axes.set_ymargin(0.15)
        return
    low, high = (100 * np.array(bound) for bound in zip(*(wilson(float(v), num_test) for v in values), strict=True))
    axes.fill_between(places, low, high, color=GREEN, alpha=0.15, linewidth=0, label="95 % interval")
    missing = max(0.0, SHOWN_IMAGES * 100 / num_test - (high.max() - low.min()))
    room = missing / 2 + 0.1 * (high.max() - low.min() + missing)
    axes.set_ylim(low.min() - room, high.max() + room)
    axes.yaxis.set_major_locator(ticker.FixedLocator([tick for tick in axes.get_yticks() if 0 <= tick <= 100]))
    axes.text(0.02, 0.03, f"{num_test:,} images: one is {100 / num_test:.2g} %", transform=axes.transAxes, fontsize=9)


def _several(axes: Axes, found: Mapping[str, Numbers]) -> None:
    for name, look in looks(list(found)).items():
        shares(f"accuracies[{name!r}]", found[name])
        series = 100 * np.atleast_2d(found[name])
        band(axes, np.arange(1, series.shape[1] + 1, dtype=float), series, look, name)
    if max(values.shape[-1] for values in found.values()) > DOUBLED:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda count, _: f"{count:g}"))
    else:
        whole_numbers(axes)
