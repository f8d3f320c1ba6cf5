"""One picture of several systems: where each one's own gradient points, and what it costs; it needs matplotlib."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = 0.55  # of the range of colours; below it numbers are white


def systems_figure(systems: Mapping[str, Any], title: str) -> "Figure":
    """Systems in rows: cosine by layer before and after training, bias and variance, memory and time of a step.

    Args:
      systems: by name, from top to bottom: "network" and "layers" by stage with the mean of each measure, "same_loss",
        without which there is no bias to show, "temp_mb" by number of time-steps, and "step_ms".
      title: what they were measured on.
    """
    from matplotlib import pyplot as plt

    names = list(systems)
    figure, (init, trained, error, memory, time) = plt.subplots(
        1,
        5,
        figsize=(17, 1.9 + 0.42 * len(names)),
        layout="constrained",
        sharey=True,
        width_ratios=(1.5, 1.5, 0.8, 0.8, 0.6),
    )
    figure.suptitle(title)
    _cosines(init, systems, "init", "Cosine at initialisation")
    image = _cosines(trained, systems, "trained", "Cosine after training")
    figure.colorbar(image, ax=[init, trained], label="angle to STBP (°)", shrink=0.9, pad=0.01)
    _errors(error, systems)
    memories(memory, [figures["temp_mb"] for figures in systems.values()])
    time.barh(range(len(names)), [figures["step_ms"]["median"] for figures in systems.values()], 0.6, color="tab:gray")
    time.set(title="A training step", xlabel="ms, median")
    for axes in (error, memory, time):
        axes.grid(alpha=0.3, axis="x")
        axes.set_axisbelow(True)
    figure.legend(loc="outside lower right", ncols=4, fontsize=8)
    init.set_yticks(range(len(names)), names)
    init.set_ylim(len(names) - 0.5, -0.5)
    return figure


def _cosines(axes: "Axes", systems: Mapping[str, Any], stage: str, title: str) -> Any:
    """A row for each system: its layers in the order in which they run, then all parameters together."""
    layers, networks = ([figures[place][stage] for figures in systems.values()] for place in ("layers", "network"))
    most = max(len(each) for each in layers)
    values = np.full((len(layers), most + 1), np.nan)
    for row, (by_layer, network) in enumerate(zip(layers, networks, strict=True)):
        means = [measures["cosine"]["mean"] for measures in by_layer.values()]
        values[row, : len(means)], values[row, -1] = means, network["cosine"]["mean"]
    # Coloured by the angle, as cosines near 1 are nearly the same.
    angles = np.degrees(np.arccos(np.clip(values, -1, 1)))
    image = heat(
        axes, angles, (0, 90), lambda angle: f"{np.cos(np.radians(angle)):.3f}".replace("0.", "."), "viridis_r"
    )
    same = all(list(each) == list(layers[0]) for each in layers)
    labels = [_short(layer) for layer in layers[0]] if same else [str(number) for number in range(1, most + 1)]
    axes.set_xticks(range(most + 1), [*labels, "all"], rotation=40, ha="right", rotation_mode="anchor")
    axes.axvline(most - 0.5, color="w", linewidth=2)
    axes.set(title=title, xlabel="layer" if same else "layer, by its place")
    return image


def _cosine_of(angle: float) -> str:
    return f"{np.cos(np.radians(angle)):.3f}".replace("0.", ".")


def heat(
    axes: "Axes", values: np.ndarray, limits: tuple[float, float], text: Callable[[float], str], colors: str = "viridis"
) -> Any:
    """Values `[rows, columns]` as colours with texts of them written in; NaN stays empty."""
    low, high = limits
    image = axes.imshow(values, vmin=low, vmax=high, cmap=colors, aspect="auto")
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        share = (values[row, column] - low) / (high - low)
        dark = (1 - share if colors.endswith("_r") else share) < DARK
        axes.text(
            column, row, text(values[row, column]), ha="center", va="center", fontsize=8, color="w" if dark else "k"
        )
    return image


def _errors(axes: "Axes", systems: Mapping[str, Any]) -> None:
    """What is missing of the full gradient, and what the draw adds."""
    networks, rows = [figures["network"]["trained"] for figures in systems.values()], np.arange(len(systems))
    bias = [
        network["bias"]["mean"] ** 2 if figures["same_loss"] else 0.0
        for network, figures in zip(networks, systems.values(), strict=True)
    ]
    axes.barh(rows - 0.2, bias, 0.36, color="tab:red", label="bias²")
    axes.barh(rows + 0.2, [network["variance"]["mean"] for network in networks], 0.36, color="tab:blue",
              label="variance")  # fmt: skip
    for row, figures in enumerate(systems.values()):
        if not figures["same_loss"]:
            axes.text(0, row - 0.2, " other losses", va="center", fontsize=8, color="tab:red")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set(title="Relative error, trained", xlabel="of all parameters")
    _plain_ticks(axes, 0.1, 1.5 * max(1, *bias, *(network["variance"]["mean"] for network in networks)), (0.0,))


def memories(axes: "Axes", temp_mb: Sequence[Mapping[str, float]]) -> None:
    """A line from few to many time-steps by system: none is to be seen where memory does not grow.

    Args:
      axes: where it goes.
      temp_mb: of each system, by number of time-steps, the few first.
    """
    few, many = temp_mb[0]
    for row, memory in enumerate(temp_mb):
        axes.plot([memory[few], memory[many]], [row, row], color="tab:gray", linewidth=2, zorder=1)
    for steps, marker, color in ((many, "s", "tab:orange"), (few, "o", "tab:green")):
        axes.scatter([memory[steps] for memory in temp_mb], range(len(temp_mb)), 30, color=color, marker=marker,
                     label=f"T = {steps}", zorder=2)  # fmt: skip
    axes.set_xscale("log")
    axes.set(title="Memory of a step", xlabel="MB, as compiled")
    values = [value for memory in temp_mb for value in memory.values()]
    _plain_ticks(axes, min(values) / 1.6, 1.6 * max(values))


def _plain_ticks(axes: "Axes", low: float, high: float, first: tuple[float, ...] = ()) -> None:
    """Limits, and 1, 2 and 5 times powers of ten between them, or powers of ten where that is too many."""
    from matplotlib import ticker

    factors = (1, 2, 5) if high < 50 * low else (1,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    axes.xaxis.set_major_locator(ticker.FixedLocator([*first, *(tick for tick in ticks if low <= tick <= high)]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlim(*([0, high] if first else [low, high]))


def _short(layer: str) -> str:
    for prefix in ("blocks.", "units.", "layers."):
        layer = layer.removeprefix(prefix)
    return layer.removesuffix(".conv")
