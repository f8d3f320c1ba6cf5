"""What single neurons do: when they fire, and how their membranes come to it."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hdlif_jax.viz.arrays import Numbers, numbers
from hdlif_jax.viz.canvas import legend_below, new_figure, whole_numbers
from hdlif_jax.viz.looks import BLACK, BLUE, ORANGE, RED

MOST_TRACES = 12  # panels below each other
LINE_WIDTH = 9.0  # points, at most, of a spike
FEW_STEPS = 12  # whose ticks are all written


def raster(spikes: ArrayLike | Mapping[str, ArrayLike], *, title: str = "") -> Figure:
    """Which neurons fire when; the darker, the larger the spike, where spikes have several values.

    Args:
      spikes: s_t `[T, ...]`, all axes behind the first are neurons; or such by layer, one panel each.
      title: of the figure.

    Raises:
      ValueError: arrays without neurons, or of several T.

    Example:
      >>> import numpy as np
      >>> from hdlif_jax import viz
      >>> figure = viz.raster({"layers.1": np.eye(5), "layers.3": np.ones((5, 2))})
      >>> [axes.get_ylabel() for axes in figure.axes]
      ['layers.1', 'layers.3']
    """
    of_layers = spikes if isinstance(spikes, Mapping) else {"neuron": spikes}
    if not of_layers:
        raise ValueError("spikes is an empty dict; give [T, N]: time-steps, neurons, by layer")
    flat: dict[str, Numbers] = {}
    for layer, values in of_layers.items():
        array = numbers(f"spikes of {layer}", values, "[T, N]: time-steps, neurons", ndim=tuple(range(2, 9)))
        flat[str(layer)] = array.reshape(len(array), -1)
    num_steps = {len(array) for array in flat.values()}
    if len(num_steps) > 1:
        raise ValueError(f"spikes have {sorted(num_steps)} time-steps; give layers of one network")
    (steps,) = num_steps
    figure = new_figure(7.5, 1.2 + 1.9 * len(flat))
    panels = figure.subplots(len(flat), 1, squeeze=False, sharex=True)[:, 0]
    largest = max(float(np.max(np.abs(array))) for array in flat.values()) or 1.0
    heights = np.unique(np.abs(np.concatenate([array[array != 0] for array in flat.values()])))
    colors = ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1, 256)))
    scale = Normalize(0, largest)
    for axes, (layer, array) in zip(panels, flat.items(), strict=True):
        t, neuron = np.nonzero(array)
        ends = np.stack([np.stack([t + 1, neuron - 0.42], -1), np.stack([t + 1, neuron + 0.42], -1)], 1)
        marks = LineCollection(list(ends), cmap=colors, norm=scale, linewidths=min(LINE_WIDTH, 220 / steps))
        marks.set_array(np.abs(array[t, neuron]))
        axes.add_collection(marks)
        axes.set(xlim=(0.5, steps + 0.5), ylim=(array.shape[1] - 0.5, -0.5), ylabel=layer)
        axes.set_title(f"{array.shape[1]:,} neurons, {100 * len(t) / array.size:.3g} % fire at a step", fontsize=9)
        axes.yaxis.get_major_locator().set_params(integer=True)
    if len(heights) > 1:
        figure.colorbar(marks, ax=list(panels), label="size of the spike")
    panels[-1].set_xlabel("time-step")
    _steps_ticks(panels[-1], steps)
    figure.suptitle(title)
    return figure


def membranes(
    membrane: ArrayLike,
    *,
    spikes: ArrayLike | None = None,
    after: ArrayLike | None = None,
    threshold: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """How membranes charge, what they are left at, and when neurons fire: a panel for each neuron.

    Args:
      membrane: m_t before it fires and resets, `[T]` or `[T, N]` of at most twelve neurons.
      spikes: s_t, of the same shape.
      after: v_t, what the reset leaves, of the same shape.
      threshold: a number, one for each step `[T]`, or of the same shape.
      names: of the neurons.
      title: of the figure.

    Raises:
      ValueError: other shapes, or too many neurons.

    Example:
      >>> from hdlif_jax import viz
      >>> figure = viz.membranes([0.4, 0.9, 1.3], spikes=[0, 0, 0.3], after=[0.4, 0.9, 1.0], threshold=1.0)
      >>> [text.get_text() for text in figure.legends[0].get_texts()]
      ['membrane, before the reset', 'after the reset', 'threshold', 'spike']
    """
    axes_of = "[T] or [T, N]: time-steps, neurons"
    traces = _traces("membrane", membrane, axes_of)
    steps, count = traces.shape
    if count > MOST_TRACES:
        raise ValueError(f"membrane is of {count} neurons; choose at most {MOST_TRACES}")
    if names is not None and len(names) != count:
        raise ValueError(f"names are {len(names)} and membranes {count}; give one for each")
    others: dict[str, Numbers] = {}
    for name, value in (("spikes", spikes), ("after", after)):
        if value is not None:
            others[name] = _traces(name, value, axes_of)
            if others[name].shape != traces.shape:
                raise ValueError(f"{name} has shape {np.shape(value)} and membrane {np.shape(membrane)}; give the same")
    if threshold is not None:
        limits = numbers("threshold", threshold, f"a number, or {axes_of}", ndim=(0, 1, 2))
        limits = limits[:, None] if limits.ndim == 1 else limits
        if limits.ndim == 2 and limits.shape not in ((steps, 1), traces.shape):
            raise ValueError(
                f"threshold has shape {np.shape(threshold)} and membrane {np.shape(membrane)}; give a number, [T], or "
                "the same"
            )
        others["threshold"] = np.broadcast_to(limits, traces.shape)
    figure = new_figure(8.5, 1.3 + 2.0 * count)
    panels = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for neuron, axes in enumerate(panels):
        _trace(axes, traces[:, neuron], {name: values[:, neuron] for name, values in others.items()})
        axes.set(ylabel="potential", title="" if names is None else names[neuron])
    panels[-1].set_xlabel("time-step")
    _steps_ticks(panels[-1], steps)
    legend_below(figure, panels[0])
    figure.suptitle(title)
    return figure


def _trace(axes: Axes, membrane: Numbers, others: Mapping[str, Numbers]) -> None:
    times = np.arange(1, len(membrane) + 1)
    axes.plot(times, membrane, "o-", color=BLUE, markersize=5, label="membrane, before the reset")
    if "after" in others:
        axes.plot(times, others["after"], "s--", color=ORANGE, markersize=4, label="after the reset")
    if "threshold" in others:
        axes.step(times, others["threshold"], ":", where="mid", color=BLACK, label="threshold")
    if "spikes" in others:
        axes.bar(times, others["spikes"], width=0.5, color=RED, alpha=0.6, hatch="///", edgecolor="w", label="spike",
                 zorder=0.5)  # fmt: skip
    axes.grid(alpha=0.3)


def _traces(name: str, value: ArrayLike, axes: str) -> Numbers:
    array = numbers(name, value, axes, ndim=(1, 2))
    return array[:, None] if array.ndim == 1 else array


def _steps_ticks(axes: Axes, steps: int) -> None:
    if steps <= FEW_STEPS:
        axes.set_xticks(range(1, steps + 1))
    else:
        whole_numbers(axes)
