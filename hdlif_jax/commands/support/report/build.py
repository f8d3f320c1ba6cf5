"""From records, predictions and costs to the page of a run."""

from __future__ import annotations

import html
import shlex
from typing import Any

import numpy as np

from hdlif_jax import viz
from hdlif_jax.commands.support.cost_tables import QUANTITIES
from hdlif_jax.commands.support.program import program
from hdlif_jax.commands.support.report import charts
from hdlif_jax.commands.support.report.page import EXAMPLES, Tab, code, figure, folded, page, table
from hdlif_jax.commands.support.report.pictures import as_uris
from hdlif_jax.commands.support.report.records import Records, fields
from hdlif_jax.commands.support.report.seen import Seen

MOST_CLASSES = 200  # of a map of confusions; of more, the page would be large and the map unreadable
CONFUSED = 12  # pairs of classes that are named


def build(
    records: Records, seen: Seen | None, costs: dict[str, Any] | None, class_names: list[str], notes: list[str]
) -> str:
    """The page.

    Args:
      records: of the run.
      seen: what its network makes of test inputs; None where that could not be found out.
      costs: as costs.json has them; None likewise.
      class_names: of the dataset.
      notes: what could not be found out, and why.
    """
    done = len(records.epochs)
    state = f"finished after {records.config.epochs} epochs"
    if records.summary is None:
        state = f"not finished: {done} of {records.config.epochs} epochs are done"
    tabs = [
        _learning(records, seen),
        _activity(records, seen),
        Tab("Predictions", "") if seen is None else _predictions(seen, class_names),
        Tab("Costs", "") if costs is None else _costs(costs),
        _configuration(records, class_names),
    ]
    shown = None if seen is None else _shown(seen, class_names)
    subtitle = f"{state}, in {records.directory.path}"
    return page(records.config.title, subtitle, _facts(records, seen, costs), notes, tabs, shown)


def _facts(records: Records, seen: Seen | None, costs: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    facts = []
    accuracies, count, of = _test(records, seen)
    if accuracies is not None and count is not None:
        low, high = viz.wilson(accuracies[-1], count)
        digits = viz.decimals_of_percent(count)
        interval = f"{100 * low:.1f} … {100 * high:.1f} %, of {count:,} {of}"
        facts.append(("test accuracy", f"{100 * accuracies[-1]:.{digits}f} %", interval))
        if len(accuracies) > 1:
            facts.append(("after one time-step", f"{100 * accuracies[0]:.{digits}f} %", f"of {len(accuracies)}"))
    if records.epochs:
        last = records.epochs[-1]
        validation = last["validation_accuracy_per_step"]
        facts.append(("training loss", f"{last['train_loss']:.4f}", f"epoch {last['epoch']}"))
        if validation:
            facts.append(("validation accuracy", f"{100 * validation[-1]:.1f} %", f"epoch {last['epoch']}"))
    if costs is not None:
        facts.append(("weights", f"{1e3 * costs['param_mb_paper']:,.4g} kB", "at the paper's bytes for each kind"))
        facts.append(("energy", f"{1e3 * costs['power_mj_paper']:,.3g} µJ", "of the SOPs of an input"))
    if records.summary is not None:
        summary = records.summary
        speed = f"{summary['images_per_second']:,.0f} inputs a second, on {summary['device']}"
        facts.append(("training time", _duration(summary["train_seconds"]), speed))
    return facts


def _test(records: Records, seen: Seen | None) -> tuple[list[float] | None, int | None, str]:
    """Test accuracy after 1…T steps, on how many inputs, and which these are."""
    info = records.directory.dataset_info()
    count = None if info is None else info.num_test
    if count is None and seen is not None:
        count = seen.num_test
    if records.summary is not None and count is not None:
        return records.summary["accuracy_per_step"], count, "test inputs"
    if seen is not None:
        return seen.accuracy.tolist(), len(seen.labels), "test inputs, as far as it has learned"
    return None, None, ""


def _learning(records: Records, seen: Seen | None) -> Tab:
    accuracies, count, _ = _test(records, seen)
    found = {"loss": charts.loss(records.steps, records.epochs)}
    if records.epochs:
        test = None if accuracies is None or records.summary is None else accuracies[-1]
        found["accuracy"] = charts.accuracy(records.epochs, test, count)
    if accuracies is not None and count is not None:
        found["over-steps"] = charts.over_steps(accuracies, count)
    if records.coherence:
        found["coherence"] = charts.coherence(records.coherence)
    return Tab("Learning", figure(*found), found)


def _activity(records: Records, seen: Seen | None) -> Tab:
    found = {}
    if seen is not None and seen.rates:
        found["rate-map"] = charts.rate_map(seen.rates)
    if records.epochs and records.epochs[-1]["firing_rates"]:
        found["rate-curves"] = charts.rate_curves(records.epochs)
    return Tab("Activity", figure(*found) if found else "", found)


def _predictions(seen: Seen, class_names: list[str]) -> Tab:
    counts = seen.confusion()[-1]
    found = {"confusion": charts.confusion(counts, class_names)} if len(class_names) <= MOST_CLASSES else {}
    off = counts * (1 - np.eye(len(counts), dtype=int))
    order = np.argsort(-off, axis=None, kind="stable")[:CONFUSED]
    pairs = [divmod(int(place), len(counts)) for place in order]
    rows = [
        (class_names[true], class_names[predicted], f"{off[true, predicted]:,}",
         f"{100 * off[true, predicted] / max(1, counts[true].sum()):.1f} %")
        for true, predicted in pairs if off[true, predicted]
    ]  # fmt: skip
    confused = table("Most often confused, after all time-steps", ("true", "predicted", "inputs", "of the class"), rows,
                     text_columns=2) if rows else ""  # fmt: skip
    return Tab("Predictions", EXAMPLES + figure(*found, beside=confused), found)


def _shown(seen: Seen, class_names: list[str]) -> dict[str, Any]:
    """What the script shows at each time-step."""
    predictions, pictures, shares = seen.predictions, as_uris(seen.inputs), seen.probabilities()
    probabilities = np.round(shares, 4).astype(object)
    probabilities[~np.isfinite(shares)] = None  # as JSON knows no NaN
    return {
        "classes": class_names,
        "count": len(seen.labels),
        "accuracy": seen.accuracy.tolist(),
        "confusion": seen.confusion().tolist() if len(class_names) <= MOST_CLASSES else None,
        "examples": [
            {
                "index": int(place),
                "label": int(seen.labels[place]),
                "predicted": predictions[:, place].tolist(),
                "probabilities": probabilities[:, number].tolist(),
                "pictures": pictures[number],
            }
            for number, place in enumerate(seen.examples)
        ],
    }


def _costs(costs: dict[str, Any]) -> Tab:
    paper = {name: value for name, value in (costs["paper"] or {}).items() if value is not None}
    of_paper = any(quantity.paper in paper for quantity in QUANTITIES.values())
    heads = ("", "here", "the paper's", "which is") if of_paper else ("", "here", "which is")
    totals = []
    for name, quantity in QUANTITIES.items():
        figures = [f"{quantity.scale * costs[name]:.4g} {quantity.unit}"]
        if of_paper:
            figures.append(f"{paper[quantity.paper]:.4g} {quantity.unit}" if quantity.paper in paper else "")
        totals.append((quantity.name, *figures, quantity.meaning))
    layers = [
        (row["path"], row["weights"], f"{row['parameters']:,}",
         "" if row["input_rate"] is None else f"{100 * row['input_rate']:.1f} %",
         f"{row['sops'] / 1e6:.3f}", f"{row['macs'] / 1e6:.3f}")
        for row in costs["layers"]
    ]  # fmt: skip
    neurons = [
        (row["path"], f"{row['neurons']:,}", f"{row['nops'] / 1e6:.3f}", f"{100 * row['firing_rate']:.1f} %")
        for row in costs["neurons"]
    ]
    body = (
        f"<p>Counted on {html.escape(costs['inputs'])}.</p>"
        + table("Of an input", heads, totals, texts_behind=1)
        + figure("operations")
        + table("Synapses", ("layer", "kernel", "weights", "inputs ≠ 0", "SOPs (M)", "MACs (M)"), layers, 2)
        + table("Neurons", ("layer", "number", "NOPs (M)", "firing rate"), neurons)
    )
    return Tab("Costs", body, {"operations": charts.operations(costs["layers"])})


def _configuration(records: Records, class_names: list[str]) -> Tab:
    description, info = records.description, records.directory.dataset_info()
    rows = fields(records.config)
    changed = [(name, value, usual) for name, value, usual in rows if usual is not None]
    heads = ("field", "value", "of the preset")
    about = [("preset", records.config.preset), ("command", shlex.join(description["command"]))]
    if info is not None:
        about += [
            ("inputs", f"{'×'.join(map(str, info.example_shape))} {info.dtype}"),
            ("examples", f"{info.num_train:,} to train on, {info.num_test:,} to test on"),
        ]
    about.append((f"{len(class_names)} classes", ", ".join(class_names)))
    about += [(f"changed at step {change['step']}", f"{change['field']}: {change['from']} to {change['to']}")
              for change in description.get("changes", [])]  # fmt: skip
    if records.summary is not None:
        about.append(("device", records.summary["device"]))
    versions = [(name, str(version)) for name, version in description["versions"].items() if version is not None]
    versions += [("commit", description["git_commit"])] if description["git_commit"] else []
    body = (
        table("The run", ("", ""), about, 2)
        + code("Evaluate it again", f"{program('evaluate')} {shlex.quote(str(records.directory.path))}")
        + (table("Configuration that is another than the preset's", heads, changed, 3) if changed else "")
        + folded("All of the configuration", table("", heads[:2], [row[:2] for row in rows], 2))
        + table("Versions", ("", ""), versions, 2)
    )
    return Tab("Configuration", body)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
