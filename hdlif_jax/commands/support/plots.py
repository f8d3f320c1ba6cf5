"""Pictures of a run."""

import pathlib
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from hdlif_jax.analysis import Costs


def plot_curves(
    path: pathlib.Path,
    title: str,
    epochs: list[dict[str, Any]],
    test_accuracy_per_step: list[float],
    coherence: list[dict[str, Any]],
) -> None:
    """Loss, accuracy over epochs, and test accuracy after 1…T time-steps (the paper's Fig. 4).

    A run that compared its gradients gets a fourth picture: how well the online gradient points where STBP points.

    Args:
      path: the PNG to write.
      title: of the figure.
      epochs: the epoch records of a run.
      test_accuracy_per_step: `[T]`, in [0, 1].
      coherence: the coherence records of a run; may be empty.
    """
    width = 4 if coherence else 3
    figure, row = plt.subplots(1, width, figsize=(4.4 * width, 4), layout="constrained")
    loss_axes, accuracy_axes, step_axes = row[:3]
    figure.suptitle(title)
    numbers = [record["epoch"] for record in epochs]

    loss_axes.plot(numbers, [record["train_loss"] for record in epochs], color="tab:blue")
    loss_axes.set(xlabel="epoch", ylabel="training loss", title="Loss", ylim=(0, None))

    accuracy_axes.plot(
        numbers, [100 * record["train_accuracy"] for record in epochs], label="training", color="tab:blue"
    )
    if all(record["validation_accuracy_per_step"] for record in epochs):
        validation = [100 * record["validation_accuracy_per_step"][-1] for record in epochs]
        accuracy_axes.plot(numbers, validation, label="validation", color="tab:orange")
    accuracy_axes.axhline(
        100 * test_accuracy_per_step[-1], label="test, last epoch", color="tab:green", linestyle="--", linewidth=1
    )
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
    accuracy_axes.legend(loc="lower right")

    steps = range(1, len(test_accuracy_per_step) + 1)
    percent = [100 * accuracy for accuracy in test_accuracy_per_step]
    step_axes.plot(steps, percent, marker="o", color="tab:green")
    for step, value in zip(steps, percent, strict=True):
        step_axes.annotate(f"{value:.2f}", (step, value), textcoords="offset points", xytext=(0, 8), ha="center")
    spread = max(percent) - min(percent)
    step_axes.set(xlabel="time-steps used", ylabel="test accuracy (%)", title="Test accuracy after 1…T steps")
    step_axes.set_ylim(min(percent) - max(spread, 1), min(100.5, max(percent) + max(spread, 1)))
    step_axes.set_xticks(list(steps))
    step_axes.set_xmargin(0.15)

    if coherence:
        plot_coherence(row[3], coherence)

    for axes in row:
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


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
