"""Runs a study to a table with error bars: `hdlif study NAME|FILE [--seeds 0 1 2]`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

from hdlif_jax.checks import Seed, check_fields
from hdlif_jax.commands.config import TrainConfig, to_dict
from hdlif_jax.commands.studies import STUDIES, Study, read_study
from hdlif_jax.commands.support import cli
from hdlif_jax.commands.support.cli import conf, console
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.program import program, typed
from hdlif_jax.commands.support.run_directory import PACKAGES, RunDirectory, read_json, version_of, write_json
from hdlif_jax.commands.support.whole_run import WholeRun, is_whole

POLL = 0.5  # seconds


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Runs what is not finished of a study, then writes study.json, study.md and figures.

    Fields of the configuration, such as --epochs 3 or --data.dir DIR, go to all of its runs.
    """

    study: conf.Positional[str]
    """Name of a study, or a file of one in YAML or JSON."""
    out: pathlib.Path | None = None
    """Folder; studies/NAME by default. Called again it goes on where it stopped."""
    seeds: tuple[Seed, ...] | None = None
    """One run of each variant for each; those of the study by default."""
    scale: str | None = None
    """Budget, by its name in the study, such as cpu; its first by default."""
    only: str | None = None
    """I/N: every N-th run from the I-th, so that N jobs share the folder; the last to end writes the table."""
    deploy: bool = True
    """Whether each network is also deployed and proved on the test set."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field."""
        check_fields(self)
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            raise ValueError(f"--seeds {' '.join(map(str, self.seeds))} must name at least one, each once")
        self.share()

    def share(self) -> tuple[int, int]:
        """Which runs are this job's: the first, and the step."""
        if self.only is None:
            return 0, 1
        first, _, count = self.only.partition("/")
        if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
            raise ValueError(f"--only {self.only!r} must be I/N with 1 ≤ I ≤ N, such as 1/4")
        return int(first) - 1, int(count)


class Planned(NamedTuple):
    """A run of a study."""

    variant: str
    seed: int
    config: TrainConfig
    path: pathlib.Path


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
      CommandError: a scale or an option that does not exist.
    """
    scale = next(iter(study.scales)) if arguments.scale is None else arguments.scale
    if scale not in study.scales:
        raise CommandError(f"--scale {scale} is none of this study; choose one of {', '.join(study.scales)}")
    planned = []
    for seed in arguments.seeds or study.seeds:
        for variant in study.variants:
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
    new: TrainConfig = changed
    return new


def claim(out: pathlib.Path, name: str, planned: list[Planned]) -> None:
    """Makes the folder this study's own.

    Raises:
      CommandError: it holds something else, or runs of another configuration.
    """
    file = out / "plan.json"
    description = {
        "study": name,
        "runs": {f"{run.variant}/seed-{run.seed}": to_dict(run.config) for run in planned},
    }
    description = _as_json(description)
    if file.is_file():
        before = read_json(file)
        for key, config in description["runs"].items():
            if before["runs"].get(key, config) != config:
                raise CommandError(f"{out} holds {key} with another configuration; choose another --out")
        if before["study"] != name:
            raise CommandError(f"{out} holds the study {before['study']}, not {name}; choose another --out")
        description["runs"] = before["runs"] | description["runs"]
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out} is not empty and holds no study; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, description)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))  # tuples as lists


def run_all(planned: list[Planned], needs_proof: bool) -> None:
    """Does what is left of some runs, one after the other.

    Raises:
      CommandError: a run failed.
      Stopped: a signal asked for it; the run that was on wrote a checkpoint.
    """
    with _bar(len(planned)) as bar:
        for index, run in enumerate(planned):
            what = f"{run.variant}, seed {run.seed}"
            if is_whole(run.path):
                bar.update(index + 1, f"{what}: done before")
                continue
            whole = WholeRun(run.config, run.path, needs_proof)
            with stop_requests() as received:
                try:
                    whole.start()
                    while not whole.wait(POLL):
                        if received:
                            whole.stop()
                            raise Stopped(f"stopped in {what}; call again to go on", 128 + received[0])
                        bar.update(index, f"{what}: {_state(run)}", _share_done(run))
                finally:
                    whole.stop()
            whole.check()
            bar.update(index + 1, f"{what}: {_result(run)}")
            if not console.is_interactive:
                console.print(f"{what}: {_result(run)}")


@contextlib.contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Yields the signals that came and asked to stop."""
    received: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in signals}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _state(run: Planned) -> str:
    epochs = RunDirectory(run.path).read_metrics("epoch")
    if not epochs:
        return "starting"
    last = epochs[-1]
    if last["epoch"] >= run.config.epochs:
        return "counting costs, deploying"
    return f"epoch {last['epoch']}/{run.config.epochs}, training accuracy {100 * last['train_accuracy']:.1f} %"


def _share_done(run: Planned) -> float:
    epochs = RunDirectory(run.path).read_metrics("epoch")
    return epochs[-1]["epoch"] / run.config.epochs if epochs else 0.0


def _result(run: Planned) -> str:
    return f"test accuracy {100 * read_json(run.path / 'summary.json')['test_accuracy']:.2f} %"


class _Bar:
    """Runs that are done, and what is on."""

    def __init__(self, progress: Any, task: Any):
        self._progress, self._task = progress, task

    def update(self, done: int, text: str, share: float = 0.0) -> None:
        """Moves it."""
        self._progress.update(self._task, completed=done + share, what=text)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[_Bar]:
    import rich.progress

    columns = (
        rich.progress.TextColumn("{task.completed:.1f}/{task.total:.0f} runs"),
        rich.progress.BarColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.fields[what]}"),
    )
    with rich.progress.Progress(*columns, console=console, disable=not console.is_interactive) as progress:
        yield _Bar(progress, progress.add_task("runs", total=total, what="starting"))


def write_results(out: pathlib.Path, title: str, notes: list[str], runs: dict[str, dict[int, pathlib.Path]]) -> None:
    """Writes study.json, study.md and the figures of finished runs, by row and seed."""
    from hdlif_jax.commands.support.study_figures import rows_of, to_json
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
    plot_study(out, title, rows)


@command
def main() -> None:
    """Entry point."""
    options: dict[str, Any] = {"return_unknown_args": True}
    parsed: Any = cli.parse(Arguments, "study", **options)
    arguments, words = parsed
    name, study = load_study(arguments.study)
    out = arguments.out or pathlib.Path("studies") / name
    planned = plan(study, arguments, words, out)
    claim(out, name, planned)
    first, step = arguments.share()
    run_all(planned[first::step], arguments.deploy)
    missing = [run for run in planned if not is_whole(run.path)]
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
