"""Keeps the figures of a finished run for others to read: `hdlif record RUN [--to DIR]`."""

import dataclasses
import pathlib
import re
import shutil
from typing import Any

from hdlif_jax.commands.config import to_dict
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json, write_json
from hdlif_jax.data import IMAGE_SIZE
from hdlif_jax.data.formats.hidden import is_hidden

HOW_AND_WHERE = (  # what of a configuration may be another without another result
    "seed", "data.dir", "data.feed", "data.resident_limit_gib", "data.workers", "checkpoint_every_epochs",
    "checkpoint_every_steps", "keep_checkpoints", "coherence_every",
)  # fmt: skip
RESULTS = pathlib.Path("experiments/results")  # of the current directory: that of a clone


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes PRESET-DEVICE.json, its curves and a line in README.md: what ran where, with which versions."""

    run: conf.Positional[pathlib.Path]
    """A finished run."""
    to: pathlib.Path | None = None
    """Where the results of runs are collected; experiments/results by default, if the current directory has it."""


def results_folder(to: pathlib.Path | None) -> pathlib.Path:
    """Where to write.

    Raises:
      CommandError: nowhere was named, and the current directory is not that of a clone.
    """
    if to is None and not RESULTS.is_dir():
        raise CommandError(f"there is no {RESULTS} in {pathlib.Path.cwd()}; say where to collect results: --to DIR")
    return RESULTS if to is None else to


def record_of(directory: RunDirectory) -> dict[str, Any]:
    """All that is worth keeping of a finished run.

    Raises:
      CommandError: it is not finished.
    """
    config = directory.config()
    if not directory.is_finished:
        raise CommandError(f"{directory.path} is not finished; go on with it: --resume {directory.path}")
    description = read_json(directory.path / "config.json")
    preset = PRESETS.get(config.preset)
    same_data = preset is not None and preset.config.data.name == config.data.name
    paper = preset.paper if preset is not None and same_data else None
    changed = {} if preset is None else differences(to_dict(preset.recipe(config.recipe)), to_dict(config))
    return {
        "title": config.title,
        "summary": read_json(directory.path / "summary.json"),
        "paper": None if paper is None else str(paper),
        "changed": {
            name: value
            for name, value in changed.items()
            if name not in HOW_AND_WHERE and (name, value) != ("data.image_size", IMAGE_SIZE)  # as it was written
        },
        "command": description["command"],
        "init_from": description.get("init_from"),
        "changes": description.get("changes", []),  # of a run that was trained longer than it began
        "versions": description["versions"],
        "git_commit": description["git_commit"],
        "config": description["config"],
        "curve": [
            {
                name: epoch[name]
                for name in ("epoch", "train_loss", "train_accuracy", "validation_accuracy_per_step", "seconds")
            }
            for epoch in directory.read_metrics("epoch")
        ],
    }


def differences(preset: dict[str, Any], config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """What a run's configuration has other than its preset's, by the name that the command line has for it."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= differences(preset[name], value, f"{prefix}{name}.")
        elif value != preset[name]:
            found[prefix + name] = value
    return found


def write_table(folder: pathlib.Path) -> None:
    """Writes README.md: one line for each record in the folder."""
    lines = [
        "# Results\n",
        "One line a run; beside it the record (command, versions, configuration, curve) and the curves as a picture.\n",
        "| preset or data | device | epochs | test accuracy | the paper's | time | jax |",
        "|---|---|---|---|---|---|---|",
    ]
    for file in sorted(file for file in folder.glob("*.json") if not is_hidden(file.name)):
        record = read_json(file)
        if "summary" not in record:  # of several runs, such as that of a study
            continue
        summary = record["summary"]
        title = record.get("title", summary["preset"])  # earlier versions kept none
        changed = "".join(f", {name}={value}" for name, value in record.get("changed", {}).items())
        lines.append(
            f"| [{title}]({file.name}){changed} | {summary['device']} | {summary['epochs']} | "
            f"{100 * summary['test_accuracy']:.2f} % | {record['paper'] or ''} | {summary['train_seconds']:.0f} s | "
            f"{record['versions']['jax']} |"
        )
    (folder / "README.md").write_text("\n".join(lines) + "\n")


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "record")
    to = results_folder(arguments.to)
    directory = RunDirectory(arguments.run)
    record = record_of(directory)
    summary = record["summary"]
    name = re.sub(r"[^a-z0-9]+", "-", f"{record['title']}-{summary['device']}".lower()).strip("-")
    to.mkdir(parents=True, exist_ok=True)
    write_json(to / f"{name}.json", record)
    shutil.copyfile(directory.curves, to / f"{name}.png")
    write_table(to)
    console.print(f"written to {to / name}.json")


if __name__ == "__main__":
    main()
