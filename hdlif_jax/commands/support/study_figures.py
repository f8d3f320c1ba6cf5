"""The numbers of a study: what is read of each run, means and spreads over seeds, and paired differences."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hdlif_jax.commands.config import ModelConfig, TrainConfig
from hdlif_jax.commands.presets import PRESETS, PaperFigures
from hdlif_jax.commands.support.whole_run import Found

CONFIDENCE = 0.95


class Figure(NamedTuple):
    """A number of a run.

    Attributes:
      label: with its unit, for tables.
      digits: behind the point.
      read: from a run; None where it has no such number.
      paper: its name among what a paper reports, if it may be there.
      is_time: whether it differs from run to run of the same seed.
    """

    label: str
    digits: int
    read: Callable[[Found], float | None]
    paper: str | None = None
    is_time: bool = False


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _megabytes(size: float | None) -> float | None:
    return None if size is None else size / 1e6


def _train_seconds(summary: dict[str, Any]) -> float:
    """With those of the run that came first, if one did."""
    seconds: float = summary["train_seconds"] + summary.get("first", {}).get("train_seconds", 0.0)
    return seconds


FIGURES: dict[str, Figure] = {
    "accuracy": Figure("accuracy (%)", 2, lambda run: 100 * run.summary["test_accuracy"], "accuracy"),
    "best_accuracy": Figure("chosen by validation (%)", 2, lambda run: _percent(run.figures["best_accuracy"])),
    "train_seconds": Figure("training (s)", 0, lambda run: _train_seconds(run.summary), is_time=True),
    "step_ms": Figure("a step (ms)", 1, lambda run: run.summary.get("step_milliseconds"), is_time=True),
    "images_per_second": Figure("images/s", 0, lambda run: run.summary["images_per_second"], is_time=True),
    "peak_memory_mb": Figure("peak memory (MB)", 0, lambda run: run.summary["peak_memory_mb"], is_time=True),
    "step_memory_mb": Figure("memory of a step (MB)", 1, lambda run: run.costs["train_step"]["memory_mb"]),
    "param_mb": Figure("parameters (MB)", 3, lambda run: run.costs["param_mb_paper"], "param_mb"),
    "sops_m": Figure("SOPs (M)", 2, lambda run: run.costs["sops_m"], "sops_m"),
    "nops_m": Figure("NOPs (M)", 3, lambda run: run.costs["nops_m"], "nops_m"),
    "power_mj": Figure("energy (mJ)", 5, lambda run: run.costs["power_mj_paper"], "power_mj"),
    "deployed_mb": Figure("deployed (MB)", 3, lambda run: _megabytes(run.figures.get("deployed_bytes"))),
    "deployed_accuracy": Figure("deployed (%)", 2, lambda run: _percent(run.figures.get("deployed_accuracy"))),
}


class Spread(NamedTuple):
    """Of a number over seeds.

    Attributes:
      mean: None where there is no such number.
      deviation: standard deviation of a sample; None of fewer than two.
      values: one for each seed.
    """

    mean: float | None
    deviation: float | None
    values: tuple[float | None, ...]


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and standard deviation of what there is."""
    present = [value for value in values if value is not None]
    if not present:
        return Spread(None, None, tuple(values))
    return Spread(statistics.fmean(present), statistics.stdev(present) if len(present) > 1 else None, tuple(values))


class Difference(NamedTuple):
    """How much more accurate a variant is than the first, seed by seed, in percentage points.

    Attributes:
      mean: over the seeds that both have.
      low: of the 95 % interval of Student's t; None of fewer than two seeds.
      high: likewise.
    """

    mean: float
    low: float | None
    high: float | None


def difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Difference | None:
    """The paired difference of numbers by seed; None where no seed is common."""
    pairs = [values[seed] - reference[seed] for seed in values if seed in reference]
    if not pairs:
        return None
    mean = statistics.fmean(pairs)
    if len(pairs) < 2:
        return Difference(mean, None, None)
    from scipy import stats

    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(pairs) - 1))
    half = quantile * statistics.stdev(pairs) / math.sqrt(len(pairs))
    return Difference(mean, mean - half, mean + half)


class Row(NamedTuple):
    """A variant of a study.

    Attributes:
      name: of the variant.
      runs: by seed.
      figures: by name, over the seeds.
      accuracy_per_step: `[T]`, after 1…T time-steps.
      reference: the first row of the same data, which it is compared with; None for that row.
      versus_first: the paired difference in accuracy to that row; None for that row.
      paper: what a paper reports for the preset; None where it reports nothing, or this is another system.
      note: what is to be known of that, or of the preset.
    """

    name: str
    runs: dict[int, Found]
    figures: dict[str, Spread]
    accuracy_per_step: tuple[Spread, ...]
    reference: str | None
    versus_first: Difference | None
    paper: PaperFigures | None
    note: str | None


def rows_of(variants: Mapping[str, Mapping[int, Found]]) -> list[Row]:
    """The rows of runs by variant and seed, in their order."""
    rows: list[Row] = []
    firsts: dict[str, str] = {}  # rows by what they learn
    accuracies = {
        name: {seed: 100 * run.summary["test_accuracy"] for seed, run in runs.items()}
        for name, runs in variants.items()
    }
    for name, runs in variants.items():
        found = list(runs.values())
        figures = {key: spread([figure.read(run) for run in found]) for key, figure in FIGURES.items()}
        per_step = zip(*(run.summary["accuracy_per_step"] for run in found), strict=True)
        preset = PRESETS.get(found[0].config.preset)
        first = firsts.setdefault(data_of(found[0]), name)
        rows.append(
            Row(
                name,
                dict(runs),
                figures,
                tuple(spread([100 * value for value in step]) for step in per_step),
                None if first == name else first,
                None if first == name else difference(accuracies[name], accuracies[first]),
                paper_of(found[0].config),
                None if preset is None else preset.note,
            )
        )
    return rows


def paper_of(config: TrainConfig) -> PaperFigures | None:
    """What a paper reports for the preset of a run that is of the same system, at whatever width and budget."""
    preset = PRESETS.get(config.preset)
    return preset.paper if preset is not None and _system(preset.config) == _system(config) else None


def _system(config: TrainConfig) -> tuple[ModelConfig, str, str]:
    of_any_size = dataclasses.replace(config.model, width=None, widths=ModelConfig.widths, init=ModelConfig.init)
    return of_any_size, config.learning.rule, config.data.name


def data_of(run: Found) -> str:
    """What a run learns: a dataset's name, or where own data is."""
    data = run.config.data
    return data.dir if data.is_own else data.name


def by_data(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by what they learn, as only those of the same can be compared."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(data_of(next(iter(row.runs.values()))), []).append(row)
    return groups


def place_of(run: Found, folder: pathlib.Path) -> str:
    """Where a run is, seen from the folder of the study, so that both can move."""
    return os.path.relpath(run.path, folder)


def to_json(row: Row, folder: pathlib.Path) -> dict[str, Any]:
    """A row as study.json in a folder has it, with where each number comes from."""
    return {
        "runs": {str(seed): place_of(run, folder) for seed, run in row.runs.items()},
        "figures": {name: spread_._asdict() for name, spread_ in row.figures.items()},
        "accuracy_per_step": [spread_._asdict() for spread_ in row.accuracy_per_step],
        "compared_with": row.reference,
        "accuracy_versus_first": None if row.versus_first is None else row.versus_first._asdict(),
        "deployment_refused": next(
            (run.figures["deployment_refused"] for run in row.runs.values() if "deployment_refused" in run.figures),
            None,
        ),
        "paper": None if row.paper is None else row.paper._asdict(),
    }
