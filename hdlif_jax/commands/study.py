"""Runs a study to a table with error bars: `hdlif study NAME|FILE [--seeds 0 1 2]`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import pathlib
import re
from typing import Annotated, Any

from hdlif_jax.checks import Seed, check_fields
from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.studies import STUDIES, Study, read_study
from hdlif_jax.commands.support import cli
from hdlif_jax.commands.support.check_runs import check_runs
from hdlif_jax.commands.support.cli import conf, console
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.planned import Planned, do_all
from hdlif_jax.commands.support.program import program, typed
from hdlif_jax.commands.support.run_directory import PACKAGES, PARTIAL, read_json, version_of, write_json
from hdlif_jax.commands.support.whole_run import complete, is_whole


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Runs what is not finished of a study, then writes study.json, study.md and figures.

    Fields of the configuration, such as --epochs 3 or --data.dir DIR, go to all of its runs.
    """

    study: Annotated[conf.Positional[str], conf.arg(metavar="NAME|FILE")]
    """One of those that ship, or a file of one in YAML or JSON."""
    out: pathlib.Path | None = None
    """Folder; studies/NAME by default. Called again it goes on where it stopped."""
    seeds: tuple[Seed, ...] | None = None
    """One run of each variant for each; those of the study by default."""
    variants: tuple[str, ...] | None = None
    """Rows to run, in the order of the study; all by default."""
    scale: str | None = None
    """Budget, by its name in the study, such as cpu; its first by default."""
    only: str | None = None
    """I/N: every N-th run from the I-th, so that N jobs share the folder; the last to end writes the table."""
    deploy: bool = True
    """Whether each network is also deployed and proved on the test set."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field."""
        check_fields(self)
        for name in ("seeds", "variants"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) < len(values)):
                raise ValueError(f"--{name} {' '.join(map(str, values))} must name at least one, each once")
        self.share()

    def share(self) -> tuple[int, int]:
        """Which runs are this job's: the first, and the step."""
        if self.only is None:
            return 0, 1
        first, _, count = self.only.partition("/")
        if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
            raise ValueError(f"--only {self.only!r} must be I/N with 1 ≤ I ≤ N, such as 1/4")
        return int(first) - 1, int(count)


def load_study(name: str) -> tuple[str, Study]:
    """A study by its name or file, and its short name.

    Raises:
      CommandError: there is none.
    """
    if name in STUDIES:
        return name, STUDIES[name]
    path = pathlib.Path(name)
    if path.suffix.lower() in (".yaml", ".yml", ".json") or path.is_file():
        return path.stem, read_study(path)
    raise CommandError(
        f"unknown study {name!r}; {did_you_mean(name, STUDIES)}there are {', '.join(STUDIES)}, or give a file of YAML"
    )


def plan(study: Study, arguments: Arguments, words: list[str], out: pathlib.Path) -> list[Planned]:
    """All runs of a study, in the order in which they are done: all variants of a seed, then the next seed.

    Raises:
      CommandError: a scale, a variant or an option that does not exist.
    """
    scale = next(iter(study.scales)) if arguments.scale is None else arguments.scale
    if scale not in study.scales:
        raise CommandError(f"--scale {scale} is none of this study; choose one of {', '.join(study.scales)}")
    for name in arguments.variants or ():
        if name not in study.variants:
            near = did_you_mean(name, study.variants)
            raise CommandError(f"--variants {name} is none of this study; {near}there are {', '.join(study.variants)}")
    chosen = [name for name in study.variants if arguments.variants is None or name in arguments.variants]
    planned = []
    for seed in arguments.seeds or study.seeds:
        for variant in chosen:
            config = with_words(study.config(variant, scale, seed), words)
            planned.append(Planned(variant, seed, config, out / "runs" / variant / f"seed-{seed}"))
    return planned


def with_words(config: TrainConfig, words: list[str]) -> TrainConfig:
    """A configuration with the options of a command line.

    Raises:
      CommandError: an option that does not exist, or that the study decides.
    """
    options: dict[str, Any] = {"config": (conf.AvoidSubcommands,), "return_unknown_args": True}
    parsed: Any = cli.parse(TrainConfig, "study", words, default=config, **options)
    changed, unknown = parsed
    if unknown:
        raise CommandError(f"unknown option {unknown[0]}; `{program('train')} --help` lists the fields of all runs")
    if changed.seed != config.seed:
        raise CommandError("the seed of a run is the study's; use --seeds 0 1 2")
    if changed.preset != config.preset:
        raise CommandError("the preset of a run is its variant's; write a study of your own, or leave out --preset")
    if changed.recipe != config.recipe:
        raise CommandError("the recipe, which decides all other fields, is the scale's; choose a --scale that has it")
    new: TrainConfig = changed
    return new


def plan_file(out: pathlib.Path, name: str, planned: list[Planned]) -> dict[str, Any]:
    """What plan.json will say, which makes the folder this study's own.

    Raises:
      CommandError: the folder holds something else, or runs of another configuration.
    """
    file = out / "plan.json"
    runs = {f"{run.variant}/seed-{run.seed}": _as_json(to_dict(run.config)) for run in planned}
    is_taken = out.exists() and (not out.is_dir() or any(path.suffix != PARTIAL for path in out.iterdir()))
    if not file.is_file():  # looked for after all else, as another job may be about to write it
        if is_taken:
            raise CommandError(f"{out} is not empty and holds no study; choose another --out")
        return {"study": name, "runs": runs}
    before = read_json(file)
    for key, config in runs.items():
        if before["runs"].get(key, config) != config:
            raise CommandError(f"{out} holds {key} with another configuration; choose another --out")
    if before["study"] != name:
        raise CommandError(f"{out} holds the study {before['study']}, not {name}; choose another --out")
    return {"study": name, "runs": before["runs"] | runs}


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))  # tuples as lists


def write_results(out: pathlib.Path, title: str, notes: list[str], runs: dict[str, dict[int, pathlib.Path]]) -> None:
    """Writes study.json, study.md and the figures of finished runs, by row and seed."""
    from hdlif_jax.commands.support.study_figures import by_data, rows_of, to_json
    from hdlif_jax.commands.support.study_plots import plot_study
    from hdlif_jax.commands.support.study_tables import markdown
    from hdlif_jax.commands.support.whole_run import found

    rows = rows_of({name: {seed: found(path) for seed, path in seeds.items()} for name, seeds in runs.items()})
    devices = sorted({run.summary["device"] for row in rows for run in row.runs.values()})
    notes = [*notes, f"On {', '.join(devices)}."]
    write_json(
        out / "study.json",
        {
            "title": title,
            "notes": notes,
            "command": typed(),
            "versions": {name: version_of(name) for name in PACKAGES},
            "rows": {row.name: to_json(row, out) for row in rows},
        },
    )
    (out / "study.md").write_text(markdown(title, notes, rows, out))
    groups = by_data(rows)
    for data, group in groups.items():  # of several datasets each has its pictures
        is_only = len(groups) == 1
        folder = out if is_only else out / re.sub(r"[^\w-]+", "_", data).strip("_")
        folder.mkdir(exist_ok=True)
        plot_study(folder, title if is_only else f"{title}, {data}", group)


@command
def main() -> None:
    """Entry point."""
    about = f"{inspect.getdoc(Arguments)}\n\nThere are {', '.join(STUDIES)}."
    parsed: Any = cli.parse(Arguments, "study", description=about, return_unknown_args=True)
    arguments, words = parsed
    name, study = load_study(arguments.study)
    out = arguments.out or pathlib.Path("studies") / name
    planned = plan(study, arguments, words, out)
    plan_file(out, name, planned)
    check_runs(planned)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "plan.json", plan_file(out, name, planned))  # with what other jobs wrote meanwhile
    first, step = arguments.share()
    is_done = functools.partial(is_whole, needs_proof=arguments.deploy)
    do_all(planned[first::step], functools.partial(complete, needs_proof=arguments.deploy), is_done)
    missing = [run for run in planned if not is_done(run.path)]
    if missing:
        console.print(f"{len(missing)} of {len(planned)} runs are other jobs'; the last to end writes the table")
        return
    runs: dict[str, dict[int, pathlib.Path]] = {}
    for run in planned:
        runs.setdefault(run.variant, {})[run.seed] = run.path
    scale = next(iter(study.scales)) if arguments.scale is None else arguments.scale
    notes = [study.description, f"Scale {scale}" + (f", {' '.join(words)}." if words else ".")]
    write_results(out, name, notes, runs)
    console.print((out / "study.md").read_text())
    console.print(f"study.json, study.md and figures in {out}")


if __name__ == "__main__":
    main()
