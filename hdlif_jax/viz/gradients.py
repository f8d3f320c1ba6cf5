"""Where online gradients point, against the full ones; layers are named where all models have the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import Numbers, by_name, same_names
from hdlif_jax.viz.canvas import heat, legend_below, name_layers, place, plain_ticks
from hdlif_jax.viz.looks import BLUE, RED, looks

ALL = "all"


def cosines_by_layer(
    cosines: Mapping[str, Mapping[str, ArrayLike]], *, title: str = "", axes: Axes | None = None
) -> Figure:
    """Cosine of online and full gradient by layer, of several models.

    Args:
      cosines: by model and layer, a number, or `[3]`: a mean, the least and the largest, drawn as a band.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no such numbers.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.cosines_by_layer({"lif": {"stem": 0.6, "head": 1.0}, "hd-lif": {"stem": 0.9, "head": 1.0}})
      >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
      [[0.6, 1.0], [0.9, 1.0]]
    """
    found = _by_layer("cosines", cosines, "a number, or [3]: mean, least, largest", (0, 1))
    figure, panel = place(axes)
    for name, look in looks(list(found)).items():
        triples = np.stack([np.broadcast_to(np.ravel(value), 3) for value in found[name].values()])
        places = range(len(triples))
        panel.plot(places, triples[:, 0], **look.line(name))
        panel.fill_between(places, triples[:, 1], triples[:, 2], color=look.color, alpha=0.2, linewidth=0)
    panel.set(title=title, xlabel=_name_layers(panel, found), ylabel="cosine(online, STBP)")
    panel.grid(alpha=0.3)
    if axes is None:
        legend_below(figure, panel)
    return figure


def bars_by_layer(
    values: Mapping[str, Mapping[str, ArrayLike]], *, ylabel: str = "", title: str = "", axes: Axes | None = None
) -> Figure:
    """A number of each layer, of several models beside each other.

    Args:
      values: by model and layer.
      ylabel: what they are.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no numbers.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.bars_by_layer({"lif": {"stem": 2.0}, "hd-lif": {"stem": 1.0}}, ylabel="variance")
      >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
      [2.0, 1.0]
    """
    found = _by_layer("values", values, "a number", 0)
    figure, panel = place(axes)
    width = 0.8 / len(found)
    for index, (name, look) in enumerate(looks(list(found)).items()):
        heights = [float(value) for value in found[name].values()]
        offsets = np.arange(len(heights)) + (index - (len(found) - 1) / 2) * width
        panel.bar(offsets, heights, width, color=look.color, edgecolor="w", linewidth=0.5, label=name)
    panel.set(title=title, xlabel=_name_layers(panel, found), ylabel=ylabel)
    panel.grid(alpha=0.3, axis="y")
    if axes is None:
        legend_below(figure, panel)
    return figure


def cosine_map(
    cosines: Mapping[str, Mapping[str, ArrayLike]],
    networks: Mapping[str, ArrayLike],
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Cosine to the full gradient: a row for each system, its layers in their order, then all parameters together.

    Colours are angles, as cosines near 1 are nearly the same.

    Args:
      cosines: by system and layer.
      networks: by system, of all parameters together.
      title: of the panel.
      axes: where it goes; None makes a figure, with a colour bar.

    Raises:
      ValueError: no numbers, or of other systems.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.cosine_map({"ottt": {"stem": 0.5, "head": 1.0}}, {"ottt": 0.75})
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['.500', '1.000', '.750']
    """
    found = _by_layer("cosines", cosines, "a number", 0)
    whole = by_name("networks", networks, "a number", ndim=0)
    same_names("networks", whole, found, "cosines")
    most = max(map(len, found.values()))
    values = np.full((len(found), most + 1), np.nan)
    for row, (name, by_layer) in enumerate(found.items()):
        values[row, : len(by_layer)] = [float(value) for value in by_layer.values()]
        values[row, -1] = float(whole[name])
    figure, panel = place(axes, max(5.0, 3 + 0.55 * most), 1.8 + 0.42 * len(found))
    image = heat(panel, np.degrees(np.arccos(np.clip(values, -1, 1))), (0, 90), _cosine_of, "viridis_r")
    xlabel = _name_layers(panel, found, ALL)
    panel.set_yticks(range(len(found)), list(found))
    panel.axvline(most - 0.5, color="w", linewidth=2)
    panel.set(title=title, xlabel=xlabel)
    if axes is None:
        figure.colorbar(image, ax=panel, label="angle to STBP (°)")
    return figure


def errors(
    bias: Mapping[str, float | None], variance: Mapping[str, ArrayLike], *, title: str = "", axes: Axes | None = None
) -> Figure:
    """What is missing of the full gradient, and what the draw of a time-step adds, both relative and squared.

    Args:
      bias: by system, the squared one; None where the full gradient is that of another loss.
      variance: by system.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no numbers, or of other systems.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.errors({"hd-lif": 0.01, "tet": None}, {"hd-lif": 2.0, "tet": 0.0})
      >>> [text.get_text().strip() for text in figure.axes[0].texts]
      ['other losses']
    """
    added = by_name("variance", variance, "a number", ndim=0)
    same_names("bias", bias, added, "variance")
    missing = by_name("bias", {name: 0.0 if bias[name] is None else bias[name] for name in added}, "a number", ndim=0)
    figure, panel = place(axes, 6, 1.6 + 0.42 * len(added))
    rows = np.arange(len(added))
    for offset, color, hatch, values, label in (
        (-0.2, RED, "//", missing, "bias²"),
        (0.2, BLUE, "", added, "variance"),
    ):
        widths = [float(value) for value in values.values()]
        panel.barh(rows + offset, widths, 0.36, color=color, hatch=hatch, edgecolor="w", label=label)
    for row, name in enumerate(added):
        if bias[name] is None:
            panel.text(0, row - 0.2, " other losses", va="center", fontsize=8, color=RED)
    panel.set_xscale("symlog", linthresh=0.1)
    largest = max(1.0, *(float(value) for value in (*missing.values(), *added.values())))
    plain_ticks(panel, 0.1, 1.5 * largest, (0.0,))
    panel.set(title=title, xlabel="of all parameters")
    panel.set_yticks(rows, list(added))
    panel.set_ylim(len(added) - 0.5, -0.5)
    panel.grid(alpha=0.3, axis="x")
    panel.set_axisbelow(True)
    if axes is None:
        legend_below(figure, panel)
    return figure


def _by_layer(name: str, values: Any, axes: str, ndim: int | tuple[int, ...]) -> dict[str, dict[str, Numbers]]:
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"{name} is a {type(values).__name__} of nothing; give a dict by model and layer")
    return {str(key): by_name(f"{name}[{key!r}]", inner, axes, ndim=ndim) for key, inner in values.items()}


def _name_layers(axes: Axes, found: Mapping[str, Mapping[str, Any]], *last: str) -> str:
    """Names the layers at x, or numbers them where models have others each; gives the label of x."""
    first = list(next(iter(found.values())))
    same = all(list(by_layer) == first for by_layer in found.values())
    most = max(map(len, found.values()))
    name_layers(axes, [*(first if same else map(str, range(1, most + 1))), *last])
    return "layer" if same else "layer, by its place"


def _cosine_of(angle: float) -> str:
    return f"{np.cos(np.radians(angle)):.3f}".replace("0.", ".")
