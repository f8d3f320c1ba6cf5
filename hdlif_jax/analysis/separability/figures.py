"""The four pictures of the gradient comparison; only they need matplotlib."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hdlif_jax.analysis.separability.contributions import Contributions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"lif": "tab:red", "hd-lif": "tab:blue", "parallel": "tab:green", "mem-bn": "tab:purple"}
MARKERS = {"lif": "o", "hd-lif": "s", "parallel": "^", "mem-bn": "x"}  # HD-LIF and Mem-BN lie on each other
OTHER_COLORS = ("tab:orange", "tab:brown", "tab:pink", "tab:olive", "tab:cyan", "tab:gray")
OTHER_MARKERS = "Dv<>*p"
SHOWN_NEURONS = 3
FIGURES = ("epsilon.png", "epsilon_distribution.png", "cosine_per_layer.png", "estimator_variance.png")


def plot_all(folder: pathlib.Path, studies: Mapping[str, Any], samples: Mapping[str, Contributions]) -> None:
    """Writes the four figures, by the names of `FIGURES`: ε, its distribution, the cosine per layer, the estimator.

    Args:
      folder: where they go.
      studies: the figures of each model by its name, from `study`.
      samples: ε and spikes of each model at initialisation.
    """
    from matplotlib import pyplot as plt

    figures = (
        epsilon_maps(samples, {name: figures["sampled_layer"] for name, figures in studies.items()}),
        epsilon_distribution(samples, studies),
        cosine_per_layer(studies),
        estimator_variance(studies),
    )
    for name, figure in zip(FIGURES, figures, strict=True):
        figure.savefig(folder / name, dpi=120)
        plt.close(figure)


def epsilon_maps(samples: Mapping[str, Contributions], layers: Mapping[str, str] | None = None) -> "Figure":
    """ε[i,t] of a few neurons of each model, with the values written in.

    Args:
      samples: ε and spikes of each model; where neurons have two axes, the last one is their channel.
      layers: where the neurons of each model stand, for the titles; None leaves it out.
    """
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(
        len(samples),
        SHOWN_NEURONS,
        figsize=(3.1 * SHOWN_NEURONS + 1, 3.1 * len(samples)),
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle("What step i contributes to the gradient at step t: ε[i,t] of three neurons")
    for row, (name, sample) in zip(grid, samples.items(), strict=True):
        weights = np.asarray(sample.weights).reshape(*sample.weights.shape[:2], -1)
        num_steps = len(weights)
        busiest = np.argsort(-np.count_nonzero(weights, axis=(0, 1)), kind="stable")
        chosen = busiest[np.linspace(0, len(busiest) // 8, SHOWN_NEURONS).astype(int)]
        for axes, neuron in zip(row, chosen, strict=True):
            causal = np.where(np.tri(num_steps, dtype=bool), weights[:, :, neuron], np.nan)
            image = axes.imshow(causal, vmin=0, vmax=1, cmap="viridis")
            if num_steps <= 8:
                for i, t in zip(*np.tril_indices(num_steps), strict=True):
                    dark = causal[i, t] < 0.6
                    axes.text(
                        t, i, f"{causal[i, t]:.2f}", ha="center", va="center", color="w" if dark else "k", fontsize=8
                    )
            ticks = range(num_steps)
            axes.set(xticks=ticks, yticks=ticks, xticklabels=[t + 1 for t in ticks], yticklabels=[t + 1 for t in ticks])
            axes.set(xlabel="gradient at step t")
            axes.set_title(_title(name, (layers or {}).get(name), neuron, sample), fontsize=10)
        row[0].set_ylabel("spikes of step i")
    figure.colorbar(image, ax=grid, label="ε[i,t]", shrink=0.6)
    return figure


def epsilon_distribution(samples: Mapping[str, Contributions], studies: Mapping[str, Any]) -> "Figure":
    """Where the active ε[i,t] lie: a few lines for HD-LIF, a continuum for LIF."""
    from matplotlib import pyplot as plt

    figure, row = plt.subplots(
        1, len(samples), figsize=(3.4 * len(samples), 3.4), layout="constrained", squeeze=False, sharey=True
    )
    figure.suptitle("Distribution of the active ε[i,t] ≠ 0 (share per bin, logarithmic)")
    for axes, (name, sample) in zip(row[0], samples.items(), strict=True):
        weights = np.asarray(sample.weights)
        values = weights[np.tril_indices(len(weights))]
        values = values[values != 0]
        edge = max(1.0, float(np.max(np.abs(values), initial=1)))
        low = min(0.0, float(np.min(values, initial=0)))
        axes.hist(values, np.linspace(low, 1.02 * edge, 103), weights=np.full(len(values), 1 / max(len(values), 1)),
                  color=_color(name, samples))  # fmt: skip
        count, index = studies[name]["distinct_epsilon_values"], studies[name]["separability_index"]
        axes.set(yscale="log", xlabel="ε[i,t]", title=f"{name}\n{count} distinct values, index {index:.3f}")
        axes.grid(alpha=0.3)
    row[0][0].set_ylabel("share of the active entries")
    return figure


def cosine_per_layer(studies: Mapping[str, Any]) -> "Figure":
    """Cosine of accumulated online and STBP gradient by layer, with the range over the seeds."""
    from matplotlib import pyplot as plt

    figure, row = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", sharey=True)
    for axes, stage, title in zip(row, ("init", "trained"), ("At initialisation", "After training"), strict=True):
        for name, figures in studies.items():
            layers = figures["cosine_per_layer"][stage]
            mean, low, high = ([layer[part] for layer in layers.values()] for part in ("mean", "min", "max"))
            line = "--" if name == "mem-bn" else "-"
            axes.plot(
                range(len(layers)), mean, line, marker=_marker(name, studies), color=_color(name, studies), label=name
            )
            axes.fill_between(range(len(layers)), low, high, color=_color(name, studies), alpha=0.2)
            axes.set_xticks(range(len(layers)), [_short(layer) for layer in layers], rotation=30, ha="right")
        axes.set(title=title, xlabel="layer")
        axes.grid(alpha=0.3)
    row[0].set_ylabel("cosine(online, STBP)")
    row[0].legend(loc="lower right")
    several = any(len(figures["first_layer_cosine_init_per_seed"]) > 1 for figures in studies.values())
    over = " (mean and range over seeds)" if several else ""
    figure.suptitle(f"How well the online gradient points where STBP points{over}")
    return figure


def estimator_variance(studies: Mapping[str, Any]) -> "Figure":
    """Variance of the random step about the sum of all steps, and its bias² to STBP, by layer, trained."""
    from matplotlib import pyplot as plt

    figure, row = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    parts = (("variance", 1, "Variance: E‖T g − A‖² / ‖A‖²"), ("bias_stbp", 2, "Bias²: ‖A − S‖² / ‖S‖²"))
    for axes, (part, power, title) in zip(row, parts, strict=True):
        width = 0.8 / len(studies)
        for index, (name, figures) in enumerate(studies.items()):
            places = figures["estimator"]["trained"]
            offsets = np.arange(len(places)) + (index - (len(studies) - 1) / 2) * width
            axes.bar(
                offsets,
                [place[part] ** power for place in places.values()],
                width,
                color=_color(name, studies),
                label=name,
            )
            axes.set_xticks(range(len(places)), [_short(place) for place in places], rotation=30, ha="right")
        axes.set(title=title)
        axes.grid(alpha=0.3, axis="y")
    row[0].legend()
    figure.suptitle(
        "One random step (Algorithm 1), T g, as an estimator of the sum A of all steps and of STBP S, after training"
    )
    return figure


def _title(name: str, layer: str | None, neuron: int, sample: Contributions) -> str:
    place = np.unravel_index(neuron, sample.weights.shape[2:])
    which = f"channel {place[-1]}, sample {place[0]}" if len(place) > 1 else f"neuron {neuron}"
    return f"{name}: {which}" if layer is None else f"{name}: {layer}\n{which}"


def _short(layer: str) -> str:
    return layer.removeprefix("blocks.").removeprefix("units.").removeprefix("layers.")


def _color(name: str, models: Mapping[str, Any]) -> str:
    return COLORS.get(name, OTHER_COLORS[list(models).index(name) % len(OTHER_COLORS)])


def _marker(name: str, models: Mapping[str, Any]) -> str:
    return MARKERS.get(name, OTHER_MARKERS[list(models).index(name) % len(OTHER_MARKERS)])
