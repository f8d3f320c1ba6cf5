"""Tables of systems: how well each one's own gradient points where the full one does, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hdlif_jax.commands.support.study_tables import markdown_table

LEGEND = """\
first layer, all: cosine of the system's own gradient and STBP's (with reset).
var., bias²: relative, trained: of what is drawn, and squared distance of the
mean to STBP (- where layers learn by losses of their own). ε: separability
index of the first neurons, before training.
MB: memory of a training step as compiled, beside state and batch.
"""


def systems_table(systems: Mapping[str, Any]) -> str:
    """The figures of systems, by short names, side by side within 80 columns."""
    few, many = next(iter(systems.values()))["temp_mb"]
    heads = [
        ("", "first", "layer", "all", "all", "var.", "bias²", "index", "MB", "MB", "ms"),
        ("system", "initial", "trained", "initial", "trained", "", "", "of ε", f"T={few}", f"T={many}", "a step"),
    ]
    return "\n".join(["", *aligned([*heads, *(_row(name, figures) for name, figures in systems.items())]), "", LEGEND])


def systems_markdown(systems: Mapping[str, Any]) -> str:
    """The same as a table in Markdown, with the spread over the seeds."""
    few, many = next(iter(systems.values()))["temp_mb"]
    heads = ["system", "first layer, initial", "first layer, trained", "all, initial", "all, trained", "one draw",
             "variance", "bias²", "index of ε", f"MB, T = {few}", f"MB, T = {many}", "ms a step"]  # fmt: skip
    rows = []
    for name, figures in systems.items():
        network = figures["network"]
        rows.append([
            name,
            *(with_spread(_first(figures, stage)["cosine"], 3) for stage in ("init", "trained")),
            *(with_spread(network[stage]["cosine"], 3) for stage in ("init", "trained")),
            with_spread(network["trained"]["draw_cosine"], 3),
            *_row(name, figures)[5:],
        ])  # fmt: skip
    return markdown_table(heads, rows)


def with_spread(figures: Mapping[str, Any], decimals: int, factor: float = 1) -> str:
    """Mean and, of several seeds, standard deviation."""
    mean, std = (f"{factor * figures[part]:.{decimals}f}" for part in ("mean", "std"))
    return f"{mean} ± {std}" if len(figures["per_seed"]) > 1 else mean


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines as narrow as can be, the first column to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        " ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]).rstrip()
        for first, *others in rows
    ]


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    network, trained = figures["network"], figures["network"]["trained"]
    index = [sample["separability_index"] for sample in figures["epsilon"]["init"]]
    return (
        name,
        *(f"{_first(figures, stage)['cosine']['mean']:.3f}" for stage in ("init", "trained")),
        *(f"{network[stage]['cosine']['mean']:.3f}" for stage in ("init", "trained")),
        short(trained["variance"]["mean"]),
        short(trained["bias"]["mean"] ** 2) if figures["same_loss"] else "-",
        f"{sum(index) / len(index):.3f}",
        *("" if memory is None else short(memory) for memory in figures["temp_mb"].values()),
        short(figures["step_ms"]["median"]),
    )


def short(value: float) -> str:
    """A number in at most five characters, with three digits where there is room."""
    if value < 0.0005:
        return "0"
    for limit, form in ((10, ".3f"), (1000, ".1f"), (1e5, ".0f")):
        if value < limit:
            return f"{value:{form}}"
    return f"{value:.0e}"


def _first(figures: Mapping[str, Any], stage: str) -> Any:
    """The first layer's measures."""
    return next(iter(figures["layers"][stage].values()))
