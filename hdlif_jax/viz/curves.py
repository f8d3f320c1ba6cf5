"""What changes while a network learns."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import by_name, numbers, same_names
from hdlif_jax.viz.canvas import band, legend_below, new_figure, place, whole_numbers
from hdlif_jax.viz.looks import BLACK, Look, looks

WHOLE = "network"  # the name of what is of all layers together


def curves(
    x: ArrayLike | Mapping[str, ArrayLike],
    values: Mapping[str, ArrayLike],
    *,
    xlabel: str = "epoch",
    ylabel: str = "",
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Named curves over epochs or anything else, with their spread where there are several of a name.

    Args:
      x: `[E]`, or by name where curves have places of their own.
      values: by name, `[E]`, or `[S, E]` of S seeds, whose mean is drawn with a band of one standard deviation.
      xlabel: what x is.
      ylabel: what the values are.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.curves([1, 2], {"lif": [[2.0, 1.0], [4.0, 1.0]], "hd-lif": [1.0, 0.5]}, ylabel="loss")
      >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
      [[3.0, 1.0], [1.0, 0.5]]
    """
    found = by_name("values", values, "[E] or [S, E]: seeds, one value for each x", ndim=(1, 2))
    at = {
        name: numbers("x", x[name] if isinstance(x, Mapping) else x, "[E]: one place for each value", ndim=1)
        for name in found
        if not isinstance(x, Mapping) or name in x
    }
    same_names("x", at, found, "values")
    figure, panel = place(axes)
    for name, look in looks(list(found)).items():
        series, places = np.atleast_2d(found[name]), at[name]
        if series.shape[1] != len(places):
            raise ValueError(f"values[{name!r}] has shape {found[name].shape} and x {places.shape}; give as many as x")
        band(panel, places, series, look, name)
    panel.set(xlabel=xlabel, ylabel=ylabel, title=title)
    panel.grid(alpha=0.3)
    whole_numbers(panel)
    if axes is None:
        legend_below(figure, panel)
    return figure


def learning(epochs: ArrayLike, loss: ArrayLike, accuracies: Mapping[str, ArrayLike], *, title: str = "") -> Figure:
    """Loss, and accuracies beside it.

    Args:
      epochs: `[E]`.
      loss: of training, `[E]`.
      accuracies: by name, such as training and validation, `[E]` in [0, 1]; NaN where there is none.
      title: of the figure.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.learning([1, 2], [2.0, 1.0], {"training": [0.5, 0.7], "validation": [0.4, 0.6]})
      >>> figure.axes[1].lines[1].get_ydata().tolist()
      [40.0, 60.0]
    """
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    curves(epochs, {"training": loss}, ylabel="training loss", axes=left)
    percent = {name: 100 * array for name, array in by_name("accuracies", accuracies, "[E] in [0, 1]", ndim=1).items()}
    curves(epochs, percent, ylabel="accuracy (%)", axes=right)
    right.legend(loc="best")
    figure.suptitle(title)
    return figure


def coherence(
    x: ArrayLike,
    cosines: Mapping[str, ArrayLike],
    *,
    xlabel: str = "epoch",
    title: str = "Coherence of the gradients",
    axes: Axes | None = None,
) -> Figure:
    """How well the online gradient points where STBP points; what is named "network" is drawn thick and black.

    Args:
      x: `[E]`, such as epochs, in fractions.
      cosines: by layer, and of the network, `[E]` in [−1, 1].
      xlabel: what x is.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: shapes that do not fit, or cosines that are none.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.coherence([0, 0.5], {"stem": [0.9, 0.8], "network": [0.95, 0.9]})
      >>> [line.get_label() for line in figure.axes[0].lines]
      ['stem', 'network']
    """
    places = numbers("x", x, "[E]: one place for each value", ndim=1)
    found = by_name("cosines", cosines, "[E]: one value for each x", ndim=1, last=len(places))
    for name, values in found.items():
        largest = np.nanmax(np.abs(values), initial=0)  # of a layer without a gradient there are none but NaN
        if largest > 1 + 1e-5:
            raise ValueError(f"cosines[{name!r}] reach {largest:.3g}; give cosines in [-1, 1]")
    figure, panel = place(axes)
    layers = [name for name in found if name != WHOLE]
    for name, look in (looks(layers) | ({WHOLE: Look(BLACK, "", "-")} if WHOLE in found else {})).items():
        style = look.line(name, len(places)) | {"linewidth": 2.2 if name == WHOLE else 1.2}
        panel.plot(places, found[name], **style)
    panel.set(xlabel=xlabel, ylabel="cosine(online, STBP)", title=title)
    panel.grid(alpha=0.3)
    whole_numbers(panel)
    if axes is None:
        legend_below(figure, panel)
    return figure
