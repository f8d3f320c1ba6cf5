"""What a training step takes."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import by_name, numbers
from hdlif_jax.viz.canvas import legend_below, place, plain_ticks
from hdlif_jax.viz.looks import GREEN, GREY, ORANGE


def memory(
    few: Mapping[str, ArrayLike],
    many: Mapping[str, ArrayLike],
    *,
    steps: tuple[int, int],
    title: str = "Memory of a step",
    axes: Axes | None = None,
) -> Figure:
    """A line from the memory at few to that at many time-steps: none is to be seen where memory does not grow.

    Args:
      few: by system, MB at few time-steps, positive.
      many: by the same systems, MB at many.
      steps: how many these are.
      title: of the panel.
      axes: where it goes; None makes a figure, with a legend.

    Raises:
      ValueError: no such numbers.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.memory({"hd-lif": 4.1, "tdbn": 7.2}, {"hd-lif": 4.1, "tdbn": 64.9}, steps=(4, 32))
      >>> [line.get_xdata().tolist() for line in figure.axes[0].lines]
      [[4.1, 4.1], [7.2, 64.9]]
    """
    both = [by_name(name, values, "a positive number of MB", ndim=0) for name, values in
            (("few", few), ("many", many))]  # fmt: skip
    if list(both[0]) != list(both[1]):
        raise ValueError(f"many is of {', '.join(both[1])} and few of {', '.join(both[0])}; give the same systems")
    ends = [[float(value) for value in values.values()] for values in both]
    least, most = min(map(min, ends)), max(map(max, ends))
    if not 0 < least <= most < float("inf"):
        raise ValueError(f"the least memory is {least:g} MB and the largest {most:g}; give positive, finite numbers")
    figure, panel = place(axes, 6, 1.6 + 0.42 * len(both[0]))
    for row, (start, end) in enumerate(zip(*ends, strict=True)):
        panel.plot([start, end], [row, row], color=GREY, linewidth=2, zorder=1)
    for values, count, marker, color in ((ends[1], steps[1], "s", ORANGE), (ends[0], steps[0], "o", GREEN)):
        panel.scatter(values, range(len(values)), 30, color=color, marker=marker, label=f"T = {count}", zorder=2)
    panel.set_xscale("log")
    plain_ticks(panel, least / 1.6, 1.6 * most)
    panel.set(title=title, xlabel="MB, as compiled")
    _rows(panel, list(both[0]))
    if axes is None:
        legend_below(figure, panel)
    return figure


def times(milliseconds: Mapping[str, ArrayLike], *, title: str = "A training step", axes: Axes | None = None) -> Figure:
    """How long a step takes.

    Args:
      milliseconds: by system.
      title: of the panel.
      axes: where it goes; None makes a figure.

    Raises:
      ValueError: no numbers.

    Example:
      >>> from hdlif_jax import viz
      >>> [float(bar.get_width()) for bar in viz.times({"hd-lif": 4.3, "tdbn": 9.3}).axes[0].patches]
      [4.3, 9.3]
    """
    found = by_name("milliseconds", milliseconds, "a number", ndim=0)
    figure, panel = place(axes, 6, 1.6 + 0.42 * len(found))
    widths = numbers("milliseconds", [float(value) for value in found.values()], "[N]", ndim=1)
    panel.barh(range(len(found)), widths, 0.6, color=GREY)
    panel.set(title=title, xlabel="ms, median")
    _rows(panel, list(found))
    return figure


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
