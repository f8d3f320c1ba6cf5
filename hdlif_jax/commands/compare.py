"""Compares finished runs of any origin in one table: `hdlif compare RUN RUN ... [--out DIR]`."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any

from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.study import write_results
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.planned import Planned, do_all
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.whole_run import complete, is_whole


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes study.json, study.md and figures of finished runs; those that differ in nothing but the seed are a row."""

    runs: Annotated[conf.Positional[tuple[pathlib.Path, ...]], conf.arg(metavar="RUN …")]
    """Run directories; the first row is what the others are compared with."""
    out: pathlib.Path = pathlib.Path("comparison")
    """Folder of the results."""
    deploy: bool = True
    """Whether networks that are not deployed yet are deployed and proved on the test set."""


def grouped(paths: tuple[pathlib.Path, ...]) -> list[Planned]:
    """The runs with the names of their rows: that of the preset, with what else tells rows apart behind it.

    Raises:
      CommandError: no run, one that is not finished, or the same seed twice in a row.
    """
    if not paths:
        raise CommandError("name at least one run directory")
    rows: dict[TrainConfig, dict[int, pathlib.Path]] = {}
    for path in paths:
        directory = RunDirectory(path)
        config = directory.config()
        if not directory.is_finished:
            raise CommandError(f"{path} is not finished; go on with it first")
        seeds = rows.setdefault(dataclasses.replace(config, seed=0), {})
        if config.seed in seeds:
            raise CommandError(f"{path} and {seeds[config.seed]} are the same run with the same seed; leave out one")
        seeds[config.seed] = path
    names = row_names(list(rows))
    return [
        Planned(name, seed, dataclasses.replace(config, seed=seed), path)
        for name, (config, seeds) in zip(names, rows.items(), strict=True)
        for seed, path in seeds.items()
    ]


def row_names(configs: list[TrainConfig]) -> list[str]:
    """The presets, and behind them in which fields a run differs from the others of its preset.

    A field is told where its value is not that of most of them.
    """
    flat = [dict(_leaves(to_dict(config))) for config in configs]
    names = []
    for config, values in zip(configs, flat, strict=True):
        alike = [other for other in flat if other["preset"] == config.preset]
        told = [f"{name}={value}" for name, value in values.items() if not _is_usual(value, name, alike)]
        names.append(", ".join([config.preset, *told]))
    return names


def _is_usual(value: Any, name: str, others: list[dict[str, Any]]) -> bool:
    """Whether more than half of the runs have this value, the run itself among them."""
    return 2 * sum(other[name] == value for other in others) > len(others)


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "compare")
    planned = grouped(arguments.runs)
    needs_proof = arguments.deploy
    do_all(
        planned,
        functools.partial(complete, needs_proof=needs_proof),
        functools.partial(is_whole, needs_proof=needs_proof),
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, dict[int, pathlib.Path]] = {}
    for run in planned:
        runs.setdefault(run.variant, {})[run.seed] = run.path
    write_results(arguments.out, "comparison", [f"{len(planned)} runs."], runs)
    console.print((arguments.out / "study.md").read_text())
    console.print(f"study.json, study.md and figures in {arguments.out}")


if __name__ == "__main__":
    main()
