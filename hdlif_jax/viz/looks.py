"""How series look: apart in colour, brightness, marker and line, so that they can be told apart in grey, too."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "d")
LINES = ("-", "--", "-.", ":")
DARKEST, BRIGHTEST = 0.0, 0.8  # of viridis, whose brightness rises evenly; above is too bright on white, in grey
# Colours of Okabe and Ito (2008), for the few series that mean the same in all figures.
BLUE, ORANGE, GREEN, RED, BLACK, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000", "#7F7F7F"


class Look(NamedTuple):
    """Of a series.

    Attributes:
      color: as matplotlib takes it.
      marker: of its points.
      linestyle: of its line.
    """

    color: Any
    marker: str
    linestyle: str

    def line(self, label: str, num_points: int = 0) -> dict[str, Any]:
        """For `Axes.plot`: at most about eight points of many are marked."""
        return self._asdict() | {"label": label, "markersize": 5, "markevery": max(1, num_points // 8)}

    def point(self, label: str) -> dict[str, Any]:
        """For `Axes.errorbar` of a single point."""
        return {"color": self.color, "marker": self.marker, "label": label, "linestyle": "none", "capsize": 3,
                "markersize": 8}  # fmt: skip


def looks(names: Sequence[str]) -> dict[str, Look]:
    """How the series of these names look, in their order: the first is the darkest.

    Args:
      names: of the series.

    Example:
      >>> from hdlif_jax import viz
      >>> [look.marker for look in viz.looks(["lif", "hd-lif"]).values()]
      ['o', 's']
    """
    shades = matplotlib.colormaps["viridis"](np.linspace(DARKEST, BRIGHTEST, max(2, len(names))))
    return {
        name: Look(tuple(map(float, shades[index])), MARKERS[index % len(MARKERS)], LINES[index % len(LINES)])
        for index, name in enumerate(names)
    }
