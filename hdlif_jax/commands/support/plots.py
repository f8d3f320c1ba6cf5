"""Pictures of a run."""

import pathlib
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib import ticker

from hdlif_jax.commands.support.intervals import decimals_of_percent, wilson

if TYPE_CHECKING:
    from hdlif_jax.analysis import Costs

SHOWN_IMAGES = 10  # at least, on an axis of accuracies: one image more or less is no news
NAMED_LAYERS = 8  # in a legend
FEW = 8  # points that are marked


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
    figure, grid = plt.subplots(2, width, figsize=(5.2 * width, 7), layout="constrained")
    figure.suptitle(title)
    loss_axes, accuracy_axes, *others = grid.flat
    step_axes, rate_axes = others[:2]
    numbers = [record["epoch"] for record in epochs]

    loss_axes.plot(numbers, [record["train_loss"] for record in epochs], color="tab:blue", marker=_marker(numbers))
    loss_axes.set(xlabel="epoch", ylabel="training loss", title="Loss", ylim=(0, None))
    plot_accuracy(accuracy_axes, epochs, test_accuracy_per_step[-1], num_test)
    plot_steps(step_axes, test_accuracy_per_step, num_test)
    plot_rates(rate_axes, epochs)
    if coherence:
        plot_coherence(others[2], coherence)
        others[3].set_axis_off()
    for axes in grid.flat:
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_accuracy(axes: plt.Axes, epochs: list[dict[str, Any]], test_accuracy: float, num_test: int) -> None:
    """Accuracy of training and validation by epoch, and of the test images with its 95 % interval."""
    numbers = [record["epoch"] for record in epochs]
    training = [100 * record["train_accuracy"] for record in epochs]
    axes.plot(numbers, training, label="training", color="tab:blue", marker=_marker(numbers))
    if all(record["validation_accuracy_per_step"] for record in epochs):
        validation = [100 * record["validation_accuracy_per_step"][-1] for record in epochs]
        axes.plot(numbers, validation, label="validation", color="tab:orange", marker=_marker(numbers))
    low, high = wilson(test_accuracy, num_test)
    axes.axhline(100 * test_accuracy, label="test, last epoch", color="tab:green", linestyle="--", linewidth=1)
    axes.axhspan(100 * low, 100 * high, color="tab:green", alpha=0.15, linewidth=0)
    axes.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
    axes.legend(loc="lower right")


def plot_steps(axes: plt.Axes, accuracy_per_step: list[float], num_test: int) -> None:
    """Test accuracy after 1…T time-steps with 95 % intervals; an axis of no fewer than ten images of the test set."""
    steps = range(1, len(accuracy_per_step) + 1)
    percent = [100 * accuracy for accuracy in accuracy_per_step]
    low, high = zip(*(wilson(accuracy, num_test) for accuracy in accuracy_per_step), strict=True)
    axes.fill_between(steps, [100 * bound for bound in low], [100 * bound for bound in high], color="tab:green",
                      alpha=0.15, linewidth=0, label="95 % interval")  # fmt: skip
    axes.plot(steps, percent, marker="o", color="tab:green")
    digits = decimals_of_percent(num_test)
    for step, value in zip(steps, percent, strict=True):
        axes.annotate(f"{value:.{digits}f}", (step, value), textcoords="offset points", xytext=(0, 8), ha="center")
    bottom, top = 100 * min(low), 100 * max(high)
    missing = max(0.0, SHOWN_IMAGES * 100 / num_test - (top - bottom))
    room = missing / 2 + 0.1 * (top - bottom + missing)
    axes.set(xlabel="time-steps used", ylabel="test accuracy (%)", title="Test accuracy after 1…T steps")
    axes.set_ylim(bottom - room, top + room)
    axes.yaxis.set_major_locator(ticker.FixedLocator([tick for tick in axes.get_yticks() if 0 <= tick <= 100]))
    axes.set_xmargin(0.15)
    axes.text(0.02, 0.03, f"{num_test:,} images: one is {100 / num_test:.2g} %", transform=axes.transAxes, fontsize=9)
    axes.legend(loc="lower right")


def plot_rates(axes: plt.Axes, epochs: list[dict[str, Any]]) -> None:
    """Share of the neurons of each layer that fire, by epoch; early layers dark."""
    numbers = [record["epoch"] for record in epochs]
    layers = list(epochs[-1]["firing_rates"])
    for layer, color in zip(layers, plt.get_cmap("viridis")(_spaced(len(layers))), strict=True):
        rates = [100 * record["firing_rates"][layer] for record in epochs]
        named = len(layers) <= NAMED_LAYERS or layer in (layers[0], layers[-1])
        axes.plot(numbers, rates, color=color, label=layer if named else None, marker=_marker(numbers))
    axes.set(xlabel="epoch", ylabel="neurons that fire (%)", title="Firing rates", ylim=(0, None))
    axes.legend(fontsize=8, ncols=2, loc="lower right")


def _marker(numbers: list[int]) -> str:
    return "." if len(numbers) < FEW else ""  # a line through one point is not to be seen


def _spaced(count: int) -> list[float]:
    return [0.9 * index / max(1, count - 1) for index in range(count)]


def plot_costs(path: pathlib.Path, title: str, costs: "Costs") -> None:
    """Firing rate of every neuron layer, and SOPs and MACs of every synapse layer.

    Args:
      path: the PNG to write.
      title: of the figure.
      costs: of a network.
    """
    width = max(8.0, 0.32 * len(costs.synapses))
    figure, (rate_axes, operation_axes) = plt.subplots(2, 1, figsize=(width, 8), layout="constrained")
    figure.suptitle(title)

    rates = [100 * row.firing_rate for row in costs.neurons]
    rate_axes.bar([row.path for row in costs.neurons], rates, color="tab:blue")
    rate_axes.set(ylabel="neurons that fire (%)", title="Firing rate", ylim=(0, 100))

    for kind, color in (("sops", "tab:blue"), ("macs", "tab:orange")):
        millions = [getattr(row, kind) / 1e6 for row in costs.synapses]
        operation_axes.bar([row.path for row in costs.synapses], millions, color=color, label=kind[:-1].upper() + "s")
    operation_axes.set(ylabel="operations per image (millions)", title="SOPs of spiking, MACs of analog layers")
    operation_axes.legend()

    for axes in (rate_axes, operation_axes):
        axes.tick_params(axis="x", rotation=90)
        axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_coherence(axes: plt.Axes, coherence: list[dict[str, Any]]) -> None:
    """Cosine between the accumulated online and the STBP gradient: the first layer, the last, and the whole network."""
    numbers = [record["epoch"] for record in coherence]
    for layer, color in (("stem", "tab:red"), ("units.0.conv", "tab:red"), ("head", "tab:gray")):
        if layer in coherence[0]["cosine_per_layer"]:
            cosines = [record["cosine_per_layer"][layer] for record in coherence]
            axes.plot(numbers, cosines, label=layer, color=color, linewidth=1)
    axes.plot(numbers, [record["cosine"] for record in coherence], label="network", color="tab:blue")
    axes.set(xlabel="epoch", ylabel="cosine(online, STBP)", title="Coherence of the gradients")
    axes.legend(loc="best")
