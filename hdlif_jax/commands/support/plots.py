"""Pictures of a run: what its records say, as arrays for `hdlif_jax.viz`."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hdlif_jax import viz
from hdlif_jax.viz.canvas import new_figure

if TYPE_CHECKING:
    from hdlif_jax.analysis import Costs

DPI = 120
SHOWN_LAYERS = ("stem", "units.0.conv", "head")  # of coherence: the first that reads the input, and the last


def plot_curves(
    path: pathlib.Path,
    title: str,
    epochs: list[dict[str, Any]],
    test_accuracy_per_step: list[float],
    num_test: int,
    coherence: list[dict[str, Any]],
) -> None:
    """Loss, accuracy over epochs, test accuracy after 1…T time-steps (the paper's Fig. 4), and firing rates.

    A run that compared its gradients gets a fifth picture: how well the online gradient points where STBP points.

    Args:
      path: the PNG to write.
      title: of the figure.
      epochs: the epoch records of a run.
      test_accuracy_per_step: `[T]`, in [0, 1].
      num_test: how many images that was counted on.
      coherence: the coherence records of a run; may be empty.
    """
    width = 3 if coherence else 2
    figure = new_figure(5.2 * width, 7)
    loss, accuracy, *others = figure.subplots(2, width).flat
    figure.suptitle(title)
    numbers = column(epochs, "epoch")
    viz.curves(numbers, {"training": column(epochs, "train_loss")}, ylabel="training loss", title="Loss", axes=loss)
    loss.set_ylim(bottom=0)
    viz.accuracy(numbers, accuracies(epochs), test=test_accuracy_per_step[-1], num_test=num_test, axes=accuracy)
    viz.steps(test_accuracy_per_step, num_test=num_test, axes=others[0])
    viz.rate_curves(numbers, firing_rates(epochs), axes=others[1])
    others[1].legend(fontsize=8, ncols=2, loc="lower right")
    for axes in (accuracy, others[0]):
        axes.legend(loc="lower right")
    if coherence:
        viz.coherence(column(coherence, "epoch"), cosines(coherence), axes=others[2])
        others[2].legend(loc="best")
        others[3].set_axis_off()
    figure.savefig(path, dpi=DPI)


def plot_costs(path: pathlib.Path, title: str, costs: "Costs") -> None:
    """Firing rate of every neuron layer, and SOPs and MACs of every synapse layer.

    Args:
      path: the PNG to write.
      title: of the figure.
      costs: of a network.
    """
    figure = new_figure(max(8.0, 0.32 * len(costs.synapses)), 8)
    rates, operations = figure.subplots(2, 1)
    figure.suptitle(title)
    viz.rate_bars({row.path: row.firing_rate for row in costs.neurons}, axes=rates)
    viz.operations(
        {row.path: row.sops for row in costs.synapses},
        {row.path: row.macs for row in costs.synapses},
        title="SOPs of spiking, MACs of analog layers",
        axes=operations,
    )
    operations.legend()
    figure.savefig(path, dpi=DPI)


def column(records: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    """A number of each record, `[E]`."""
    return np.array([record[name] for record in records], float)


def accuracies(epochs: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Accuracy of training, and of validation where there was any, `[E]` in [0, 1]; NaN for an epoch without."""
    validation = [(record["validation_accuracy_per_step"] or [np.nan])[-1] for record in epochs]
    found = {"training": column(epochs, "train_accuracy"), "validation": np.array(validation, float)}
    return {name: values for name, values in found.items() if not np.all(np.isnan(values))}


def firing_rates(epochs: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """By layer, the share of neurons that fired in each epoch, `[E]`."""
    return {
        layer: np.array([record["firing_rates"][layer] for record in epochs], float)
        for layer in epochs[-1]["firing_rates"]
    }


def cosines(coherence: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Of the first layer, the last and the network, the cosine of online and STBP gradient at each comparison."""
    layers = [layer for layer in SHOWN_LAYERS if layer in coherence[0]["cosine_per_layer"]]
    found = {layer: np.array([record["cosine_per_layer"][layer] for record in coherence], float) for layer in layers}
    return found | {"network": column(coherence, "cosine")}
