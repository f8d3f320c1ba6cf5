"""ε[i,t], what step i contributes to the gradient at step t (Definition 4.1)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import Numbers, by_name, same_names
from hdlif_jax.viz.canvas import heat, new_figure
from hdlif_jax.viz.looks import looks

SHOWN_NEURONS = 3
WRITTEN = 8  # time-steps of a map into which the values are written
BINS = 102


def epsilon_map(weights: Mapping[str, ArrayLike], *, layers: Mapping[str, str] | None = None) -> Figure:
    """ε[i,t] of three neurons of each model, from the busiest on, with the values written in.

    Args:
      weights: by model, ε `[T, T, ...]`, such as `separability.temporal_contributions` gives; where neurons have two
        axes, the last one is their channel.
      layers: where the neurons of each model stand, for the titles; None leaves it out.

    Raises:
      ValueError: no such arrays.

    Example:
      >>> import numpy as np
      >>> from hdlif_jax import viz
      >>> figure = viz.epsilon_map({"hd-lif": np.tri(4)[:, :, None] * np.ones(5)})
      >>> [axes.get_title() for axes in figure.axes[:3]]
      ['hd-lif: neuron 0', 'hd-lif: neuron 0', 'hd-lif: neuron 0']
    """
    found = _checked(weights)
    if layers is not None:
        same_names("layers", layers, found, "weights")
    figure = new_figure(3.1 * SHOWN_NEURONS + 1, 3.1 * len(found) + 1.0)
    figure.set_layout_engine("compressed")  # for panels of equal sides
    grid = figure.subplots(len(found), SHOWN_NEURONS, squeeze=False)
    figure.suptitle(f"What step i contributes to the gradient at step t: ε[i,t] of {SHOWN_NEURONS} neurons")
    for row, (name, values) in zip(grid, found.items(), strict=True):
        flat = values.reshape(*values.shape[:2], -1)
        steps = len(flat)
        busiest = np.argsort(-np.count_nonzero(flat, axis=(0, 1)), kind="stable")
        chosen = busiest[np.linspace(0, len(busiest) // 8, SHOWN_NEURONS).astype(int)]
        for axes, neuron in zip(row, chosen, strict=True):
            causal = np.where(np.tri(steps, dtype=bool), flat[:, :, neuron], np.nan)
            image = heat(axes, causal, (0, 1), (lambda value: f"{value:.2f}") if steps <= WRITTEN else None)
            axes.set_aspect("equal")
            places, labels = range(steps), [str(t + 1) for t in range(steps)]
            if steps <= 2 * WRITTEN:
                axes.set(xticks=places, yticks=places, xticklabels=labels, yticklabels=labels)
            axes.set_title(_title(name, None if layers is None else layers[name], int(neuron), values), fontsize=10)
        row[0].set_ylabel("spikes of step i")
    for axes in grid[-1]:
        axes.set_xlabel("gradient at step t")
    figure.colorbar(image, ax=grid, label="ε[i,t]", shrink=0.6)
    return figure


def epsilon_distribution(weights: Mapping[str, ArrayLike], *, notes: Mapping[str, str] | None = None) -> Figure:
    """Where the active ε[i,t] lie: a few lines for HD-LIF, a continuum for LIF.

    Args:
      weights: by model, ε `[T, T, ...]`.
      notes: a line for the title of each model; None leaves it out.

    Raises:
      ValueError: no such arrays.

    Example:
      >>> import numpy as np
      >>> from hdlif_jax import viz
      >>> figure = viz.epsilon_distribution({"hd-lif": np.tri(4)[:, :, None]}, notes={"hd-lif": "one value"})
      >>> figure.axes[0].get_title().splitlines()
      ['hd-lif', 'one value']
    """
    found = _checked(weights)
    if notes is not None:
        same_names("notes", notes, found, "weights")
    figure = new_figure(max(7.0, 3.4 * len(found)), 3.6)
    row = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    figure.suptitle("Distribution of the active ε[i,t] ≠ 0 (share per bin, logarithmic)")
    for axes, (name, look) in zip(row, looks(list(found)).items(), strict=True):
        values = found[name][np.tril_indices(len(found[name]))]
        values = values[values != 0]
        edge = max(1.0, float(np.max(np.abs(values), initial=1)))
        low = min(0.0, float(np.min(values, initial=0)))
        share = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, np.linspace(low, 1.02 * edge, BINS + 1), weights=share, color=look.color)
        note = "" if notes is None else f"\n{notes[name]}"
        axes.set(yscale="log" if len(values) else "linear", xlabel="ε[i,t]", title=f"{name}{note}")
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
    row[0].set_ylabel("share of the active entries")
    return figure


def _checked(weights: Mapping[str, ArrayLike]) -> dict[str, Numbers]:
    found = by_name("weights", weights, "ε [T, T, ...]: two axes of time-steps, neurons", ndim=tuple(range(3, 9)))
    for name, values in found.items():
        if values.shape[0] != values.shape[1]:
            raise ValueError(
                f"weights[{name!r}] has shape {values.shape}; give ε [T, T, ...]: two axes of time-steps, neurons"
            )
    return found


def _title(name: str, layer: str | None, neuron: int, weights: Numbers) -> str:
    place = np.unravel_index(neuron, weights.shape[2:])
    which = f"channel {place[-1]}, sample {place[0]}" if len(place) > 1 else f"neuron {neuron}"
    return f"{name}: {which}" if layer is None else f"{name}: {layer}\n{which}"
