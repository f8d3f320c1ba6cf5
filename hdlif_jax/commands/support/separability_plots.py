"""Pictures of the gradient comparison: what studies found, as arrays for `hdlif_jax.viz`."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from hdlif_jax import viz
from hdlif_jax.commands.support.plots import DPI
from hdlif_jax.viz.canvas import legend_below, new_figure

if TYPE_CHECKING:
    from hdlif_jax.analysis.separability import Contributions

FIGURES = ("epsilon.png", "epsilon_distribution.png", "cosine_per_layer.png", "estimator_variance.png")
STAGES = {"init": "at initialisation", "trained": "after training"}


def plot_all(folder: pathlib.Path, studies: Mapping[str, Any], samples: "Mapping[str, Contributions]") -> None:
    """Writes the four figures, by the names of `FIGURES`: ε, its distribution, the cosine per layer, the estimator.

    Args:
      folder: where they go.
      studies: the figures of each model by its name, from `analysis.separability.study`.
      samples: ε and spikes of each model at initialisation.
    """
    weights = {name: sample.weights for name, sample in samples.items()}
    notes = {
        name: f"{figures['distinct_epsilon_values']} distinct values, index {figures['separability_index']:.3f}"
        for name, figures in studies.items()
    }
    drawn = (
        viz.epsilon_map(weights, layers={name: figures["sampled_layer"] for name, figures in studies.items()}),
        viz.epsilon_distribution(weights, notes=notes),
        cosine_per_layer(studies),
        estimator_variance(studies),
    )
    for name, figure in zip(FIGURES, drawn, strict=True):
        figure.savefig(folder / name, dpi=DPI)


def cosine_per_layer(studies: Mapping[str, Any]) -> Figure:
    """Cosine of accumulated online and STBP gradient by layer, with the range over the seeds."""
    figure = new_figure(12, 4.8)
    both = figure.subplots(1, 2, sharey=True)
    for axes, (stage, when) in zip(both, STAGES.items(), strict=True):
        cosines = {
            name: {
                layer: [spread[part] for part in ("mean", "min", "max")]
                for layer, spread in figures["cosine_per_layer"][stage].items()
            }
            for name, figures in studies.items()
        }
        viz.cosines_by_layer(cosines, title=when.capitalize(), axes=axes)
    both[1].set_ylabel("")
    legend_below(figure, both[0])
    several = any(len(figures["first_layer_cosine_init_per_seed"]) > 1 for figures in studies.values())
    over = " (mean and range over seeds)" if several else ""
    figure.suptitle(f"How well the online gradient points where STBP points{over}")
    return figure


def estimator_variance(studies: Mapping[str, Any]) -> Figure:
    """Variance of the random step about the sum of all steps, and its bias² to STBP, by layer, trained."""
    figure = new_figure(12, 4.8)
    both = figure.subplots(1, 2)
    parts = (("variance", 1, "Variance: E‖T g − A‖² / ‖A‖²"), ("bias_stbp", 2, "Bias²: ‖A − S‖² / ‖S‖²"))
    for axes, (part, power, title) in zip(both, parts, strict=True):
        values = {
            name: {layer: place[part] ** power for layer, place in figures["estimator"]["trained"].items()}
            for name, figures in studies.items()
        }
        viz.bars_by_layer(values, title=title, axes=axes)
    legend_below(figure, both[0])
    figure.suptitle(
        "One random step (Algorithm 1), T g, as an estimator of the sum A of all steps and of STBP S, after training"
    )
    return figure


def systems_figure(systems: Mapping[str, Any], title: str) -> Figure:
    """Systems in rows: cosine by layer before and after training, bias and variance, memory and time of a step.

    Args:
      systems: by name, from top to bottom: "network" and "layers" by stage with the mean of each measure, "same_loss",
        without which there is no bias to show, "temp_mb" by number of time-steps, and "step_ms".
      title: what they were measured on.
    """
    figure = new_figure(17, 2.7 + 0.42 * len(systems))
    panels = figure.subplots(1, 5, sharey=True, width_ratios=(1.5, 1.5, 0.8, 0.8, 0.6))
    for axes, (stage, when) in zip(panels, STAGES.items(), strict=False):
        cosines = {
            system: {layer: measures["cosine"]["mean"] for layer, measures in figures["layers"][stage].items()}
            for system, figures in systems.items()
        }
        whole = {system: figures["network"][stage]["cosine"]["mean"] for system, figures in systems.items()}
        viz.cosine_map(cosines, whole, title=f"Cosine {when}", axes=axes)
    both = list(panels[:2])
    figure.colorbar(panels[1].images[0], ax=both, label="angle to STBP (°)", location="bottom", shrink=0.5, aspect=50)
    trained = {system: figures["network"]["trained"] for system, figures in systems.items()}
    viz.errors(
        {
            system: measures["bias"]["mean"] ** 2 if systems[system]["same_loss"] else None
            for system, measures in trained.items()
        },
        {system: measures["variance"]["mean"] for system, measures in trained.items()},
        title="Relative error, trained",
        axes=panels[2],
    )
    few, many = next(iter(systems.values()))["temp_mb"]
    viz.memory(
        {system: figures["temp_mb"][few] for system, figures in systems.items()},
        {system: figures["temp_mb"][many] for system, figures in systems.items()},
        steps=(int(few), int(many)),
        axes=panels[3],
    )
    viz.times({system: figures["step_ms"]["median"] for system, figures in systems.items()}, axes=panels[4])
    figure.suptitle(title)
    figure.legend(loc="outside lower right", ncols=4, fontsize=8)
    return figure
