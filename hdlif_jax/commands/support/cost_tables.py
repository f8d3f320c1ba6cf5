"""The tables of the command costs: each layer, then the totals with their units and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import rich.table

from hdlif_jax.commands.support.tables import new_table

if TYPE_CHECKING:
    from hdlif_jax.analysis import Costs


class Quantity(NamedTuple):
    """A row of the totals.

    Attributes:
      name: for readers.
      unit: behind the number.
      meaning: in a few words.
      paper: the paper's figure of the same, by its name in `PaperFigures`.
      scale: of the number in costs.json.
    """

    name: str
    unit: str
    meaning: str
    paper: str | None = None
    scale: float = 1.0


QUANTITIES = {
    "param_mb_paper": Quantity("weights", "MB", "at the paper's bytes for each kind", "param_mb"),
    "param_mb_packed": Quantity("weights, packed", "MB", "as an artifact has them"),
    "other_mb": Quantity("other parameters", "MB", "norms, neurons, attention"),
    "nops_m": Quantity("NOPs", "M", "operations of neurons", "nops_m"),
    "sops_m": Quantity("SOPs", "M", "additions that spikes cause", "sops_m"),
    "macs_m": Quantity("MACs", "M", "of layers that read currents"),
    "power_mj_paper": Quantity("energy", "mJ", "of the SOPs, as the paper", "power_mj"),
    "power_mj_strict": Quantity("energy, all", "mJ", "of SOPs and MACs"),
    "firing_rate": Quantity("firing rate", "%", "neurons that fire at a step", scale=100.0),
}
OF_STEP = {
    "memory_mb": Quantity("memory", "MB", "arguments, outputs, temporaries"),
    "temporaries_mb": Quantity("temporaries", "MB", "what is only held meanwhile"),
    "gflops": Quantity("operations", "GFLOP", "XLA's count; a loop counts once"),
}


def layer_table(report: dict[str, Any], costs: Costs) -> rich.table.Table:
    """Weights and operations of every layer of synapses."""
    title = f"{report['source']}: {report['inputs']}; weights {report['weights']}"
    layers = new_table("layer", "kernel", "weights", "inputs≠0", "SOPs (M)", "MACs (M)", title=title, text_columns=2)
    for row in costs.synapses:
        rate = "" if row.input_rate is None else f"{100 * row.input_rate:.1f} %"
        operations = (f"{row.sops / 1e6:.3f}", f"{row.macs / 1e6:.3f}")
        layers.add_row(row.path, row.weights, f"{row.parameters:,}", rate, *operations)
    return layers


def neuron_table(costs: Costs) -> rich.table.Table:
    """Operations and firing rate of every layer of neurons."""
    neurons = new_table("neurons", "number", "NOPs (M)", "firing rate")
    for row in costs.neurons:
        neurons.add_row(row.path, f"{row.neurons:,}", f"{row.nops / 1e6:.3f}", f"{100 * row.firing_rate:.1f} %")
    return neurons


def total_table(report: dict[str, Any]) -> rich.table.Table:
    """The totals, beside the paper's where it reports any, and what a training step takes where it was asked for."""
    paper = {name: value for name, value in (report["paper"] or {}).items() if value is not None}
    of_paper = any(quantity.paper in paper for quantity in QUANTITIES.values())
    numbers = ("here", "paper") if of_paper else ("here",)
    title = f"paper: {paper['source']}" if of_paper else None
    totals = new_table("per image", *numbers, "", title=title, texts_behind=1)

    def add(quantity: Quantity, value: float, indent: str = "") -> None:
        cells = [f"{quantity.scale * value:.4g} {quantity.unit}"]
        if of_paper:
            figure = paper.get(quantity.paper or "")
            cells.append("" if figure is None else f"{figure:.4g} {quantity.unit}")
        totals.add_row(indent + quantity.name, *cells, quantity.meaning)

    for name, quantity in QUANTITIES.items():
        add(quantity, report[name])
    if report["train_step"] is not None:
        totals.add_section()
        totals.add_row("training step", *("" for _ in numbers), f"of {report['batch_size']} images")
        for name, quantity in OF_STEP.items():
            add(quantity, report["train_step"][name], "  ")
    return totals
