"""Writes one interactive page about a run: `hdlif report RUN [--out FILE]`."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from typing import TYPE_CHECKING, Any

from hdlif_jax.checks import Amount, Count, check_fields
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, write_atomically
from hdlif_jax.commands.support.runs import Which

if TYPE_CHECKING:
    from hdlif_jax.commands.support.report.seen import Seen
    from hdlif_jax.commands.support.runs import Run


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Writes report.html: curves, firing rates, costs, confusions and examples of a run, in one file without network.

    The run may be finished or not. Where its data or checkpoints are missing, the page has what its records say.
    """

    run: conf.Positional[pathlib.Path]
    """A run directory."""
    out: pathlib.Path | None = None
    """File to write; report.html in the run directory by default."""
    step: Which = "last"
    """Checkpoint to look at: the newest, that with the best validation accuracy, or that of a step."""
    images: Count = 10_000
    """Number of test inputs to look at, at most, evenly spread."""
    examples: Amount = 24
    """Number of test inputs to show, at most."""
    data_dir: str | None = None
    """Directory of prepared datasets, or the run's own data; where the run found it by default."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values out of range."""
        check_fields(self)


def look(arguments: Arguments) -> tuple[Run | None, Seen | None, dict[str, Any] | None, list[str]]:
    """The network of a run, what it makes of test inputs and what it costs; None for what is missing, and why."""
    from hdlif_jax.commands import costs
    from hdlif_jax.commands.support.execution import use_compilation_cache
    from hdlif_jax.commands.support.progress import phase
    from hdlif_jax.commands.support.report.seen import see
    from hdlif_jax.commands.support.runs import load_dataset, load_run

    use_compilation_cache()
    notes: list[str] = []
    try:
        run = load_run(arguments.run, step=arguments.step, data_dir=arguments.data_dir)
    except (CommandError, ValueError, OSError) as error:
        if arguments.step != "last":
            raise
        return None, None, None, [f"Nothing was computed, as there is no checkpoint to read: {error}"]
    if arguments.step != "last":
        notes.append(f"Predictions and costs are of the checkpoint of step {run.step}, curves are of the whole run.")
    seen = None
    try:
        dataset = load_dataset(run.config, run.info)
    except (CommandError, ValueError, OSError) as error:
        notes.append(f"There are no predictions, as the data cannot be read: {error}")
    else:
        with phase(f"looking at test inputs of {dataset.name}"):
            seen = see(run, dataset, arguments.images, arguments.examples)
        notes += seen.notes
    counted = None
    try:
        subject = costs.subject_of_run(run, str(arguments.run))
        counted, _ = costs.collect(subject, costs.Arguments(str(arguments.run), compile=False))
    except (CommandError, TypeError, ValueError) as error:
        notes.append(f"Costs were not counted: {error}")
    return run, seen, counted, notes


@command
def main() -> None:
    """Entry point."""
    arguments = parse(Arguments, "report")
    if importlib.util.find_spec("plotly") is None:
        raise CommandError("the report needs plotly: python -m pip install 'hdlif_jax[report]'")
    out = arguments.out
    if out is not None and (out.is_dir() or not out.resolve().parent.is_dir()):
        raise CommandError(f"--out {out} must be a file in a folder that exists")
    directory = RunDirectory(arguments.run)
    from hdlif_jax.commands.support.report.records import read_records

    records = read_records(directory)
    run, seen, costs, notes = look(arguments)
    from hdlif_jax.commands.support.report.build import build

    info = directory.dataset_info()
    num_classes = 0 if run is None else run.model.num_classes
    out = arguments.run / "report.html" if out is None else out
    names = [str(label) for label in range(num_classes)] if info is None else list(info.class_names)
    write_atomically(out, build(records, seen, costs, names, notes))
    for note in notes:
        console.print(note, markup=False)
    console.print(f"written to {out}, {out.stat().st_size / 1e6:.1f} MB; open it in a browser", markup=False)


if __name__ == "__main__":
    main()
