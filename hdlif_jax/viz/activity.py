"""How much layers fire, and what that costs."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import by_name, numbers, shares
from hdlif_jax.viz.canvas import heat, legend_below, name_layers, place, short, whole_numbers
from hdlif_jax.viz.looks import BLUE, ORANGE, looks

FEW = 8  # points that are all marked, and layers that are all named
WRITTEN = 400  # cells of a map into which numbers are written


def rates(firing: Mapping[str, ArrayLike], *, title: str = "Firing rates", axes: Axes | None = None) -> Figure:
    """The share of each layer's neurons that fire at each time-step, as a map.

    Args:
      firing: by layer, `[T]` in [0, 1].
      title: of the panel.
      axes: where it goes; None makes a figure.

    Raises:
      ValueError: no shares, or of several T.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.rates({"blocks.0.neuron1": [0.1, 0.25], "blocks.0.neuron2": [0.2, 0.2]})
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['10', '25', '20', '20']
    """
    found = by_name("firing", firing, "[T]: time-steps", ndim=1)
    if len({len(values) for values in found.values()}) > 1:
        raise ValueError("firing is of layers of several numbers of time-steps; give layers of one network")
    for layer, of_layer in found.items():
        shares(f"firing[{layer!r}]", of_layer)
    values = 100 * np.stack(list(found.values()))
    figure, panel = place(axes, max(5.0, 2.5 + 0.55 * values.shape[1]), 1.6 + 0.32 * len(found))
    most = float(np.nanmax(values, initial=1e-9))
    image = heat(panel, values, (0, most), _percent if values.size <= WRITTEN else None)
    panel.set_yticks(range(len(found)), [short(layer) for layer in found])
    if values.shape[1] <= 2 * FEW:
        panel.set_xticks(range(values.shape[1]), [str(step) for step in range(1, values.shape[1] + 1)])
    else:
        whole_numbers(panel)
        panel.xaxis.set_major_formatter(lambda place, _: f"{place + 1:g}")
    panel.set(xlabel="time-step", title=title)
    figure.colorbar(image, ax=panel, label="neurons that fire (%)")
    return figure


def rate_curves(
    x: ArrayLike,
    firing: Mapping[str, ArrayLike],
    *,
    xlabel: str = "epoch",
    title: str = "Firing rates",
    axes: Axes | None = None,
) -> Figure:
    """The share of each layer's neurons that fire as it changes; early layers dark.

    Args:
      x: `[E]`, such as epochs.
      firing: by layer, `[E]` in [0, 1].
      xlabel: what x is.
      title: of the panel.
      axes: where it goes; None makes a figure. Of more than eight layers the legend names the first and the last.

    Raises:
      ValueError: shapes that do not fit, or no shares.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.rate_curves([1, 2], {"layers.1": [0.1, 0.2]})
      >>> figure.axes[0].lines[0].get_ydata().tolist()
      [10.0, 20.0]
    """
    places = numbers("x", x, "[E]: one place for each value", ndim=1)
    found = by_name("firing", firing, "[E]: one value for each x", ndim=1, last=len(places))
    for layer, of_layer in found.items():
        shares(f"firing[{layer!r}]", of_layer)
    figure, panel = place(axes)
    layers = list(found)
    for layer, look in looks(layers).items():
        named = len(layers) <= FEW or layer in (layers[0], layers[-1])
        style = look.line(layer if named else "_", len(places))
        if len(places) >= FEW:
            style["marker"] = ""  # lines of one colour scale, not to be told apart by marks
        panel.plot(places, 100 * found[layer], **style)
    panel.set(xlabel=xlabel, ylabel="neurons that fire (%)", title=title, ylim=(0, None))
    panel.grid(alpha=0.3)
    whole_numbers(panel)
    if axes is None:
        legend_below(figure, panel)
    return figure


def rate_bars(firing: Mapping[str, ArrayLike], *, title: str = "Firing rate", axes: Axes | None = None) -> Figure:
    """The share of each layer's neurons that fire, over all time-steps.

    Args:
      firing: by layer, a number in [0, 1].
      title: of the panel.
      axes: where it goes; None makes a figure.

    Raises:
      ValueError: no shares.

    Example:
      >>> from hdlif_jax import viz
      >>> [float(bar.get_height()) for bar in viz.rate_bars({"layers.1": 0.25}).axes[0].patches]
      [25.0]
    """
    found = by_name("firing", firing, "a number", ndim=0)
    for layer, of_layer in found.items():
        shares(f"firing[{layer!r}]", of_layer)
    figure, panel = place(axes, max(6.0, 2 + 0.32 * len(found)), 4.2)
    panel.bar(range(len(found)), [100 * float(rate) for rate in found.values()], color=BLUE)
    name_layers(panel, list(found))
    panel.set(ylabel="neurons that fire (%)", title=title, ylim=(0, 100))
    panel.grid(axis="y", alpha=0.3)
    return figure


def operations(
    sops: Mapping[str, ArrayLike], macs: Mapping[str, ArrayLike], *, title: str = "", axes: Axes | None = None
) -> Figure:
    """Additions that spikes cause and multiplications of analog layers, for one input.

    Args:
      sops: by layer of synapses.
      macs: by the same layers.
      title: of the panel.
      axes: where it goes; None makes a figure.

    Raises:
      ValueError: no numbers, or of other layers.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.operations({"stem": 0, "head": 2e6}, {"stem": 1e6, "head": 0})
      >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
      [0.0, 2.0, 1.0, 0.0]
    """
    additions = by_name("sops", sops, "a number", ndim=0)
    products = by_name("macs", macs, "a number", ndim=0)
    if list(additions) != list(products):
        raise ValueError(f"macs are of {', '.join(products)} and sops of {', '.join(additions)}; give the same layers")
    figure, panel = place(axes, max(6.0, 2 + 0.32 * len(additions)), 4.2)
    for kind, color, hatch, counts in (("SOPs", BLUE, "", additions), ("MACs", ORANGE, "//", products)):
        millions = [float(count) / 1e6 for count in counts.values()]
        panel.bar(range(len(counts)), millions, color=color, hatch=hatch, edgecolor="w", label=kind)
    name_layers(panel, list(additions))
    panel.set(ylabel="operations per input (millions)", title=title)
    panel.grid(axis="y", alpha=0.3)
    if axes is None:
        legend_below(figure, panel)
    return figure


def _percent(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
