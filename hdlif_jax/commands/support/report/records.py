"""What a run directory says of its run, finished or not."""

from __future__ import annotations

from typing import Any, NamedTuple

from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json


class Records(NamedTuple):
    """What is read of a run.

    Attributes:
      directory: of the run.
      config: of the run.
      description: config.json, with versions, command and what was changed.
      steps: a record for each batch that was logged.
      epochs: a record for each epoch that is done.
      coherence: a record for each comparison of gradients.
      summary: summary.json; None of a run that is not finished.
    """

    directory: RunDirectory
    config: TrainConfig
    description: dict[str, Any]
    steps: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    coherence: list[dict[str, Any]]
    summary: dict[str, Any] | None


def read_records(directory: RunDirectory) -> Records:
    """The records of a run.

    Raises:
      CommandError: no run, or one that has logged nothing.
    """
    config = directory.config()
    steps, epochs, coherence = (directory.read_metrics(kind) for kind in ("step", "epoch", "coherence"))
    if not steps and not epochs:
        raise CommandError(
            f"{directory.path} has logged nothing yet; train it first: --resume {directory.path}, or wait for its "
            "first batches"
        )
    summary = read_json(directory.path / "summary.json") if directory.is_finished else None
    description = read_json(directory.path / "config.json")
    return Records(directory, config, description, steps, epochs, coherence, summary)


def fields(config: TrainConfig) -> list[tuple[str, str, str | None]]:
    """Name and value of each field, and the preset's value where that is another."""
    preset = PRESETS.get(config.preset)
    usual = None if preset is None else dict(_leaves(to_dict(preset.recipe(config.recipe))))
    rows = []
    for name, value in _leaves(to_dict(config)):
        other = None if usual is None or usual[name] == value else _text(usual[name])
        rows.append((name, _text(value), other))
    return rows


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
