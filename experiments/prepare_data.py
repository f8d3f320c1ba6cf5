"""Prepares a dataset for training: `python -m experiments.prepare_data NAME --from ORIGINAL_FILES --to DIR`."""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import rich.progress
import tyro

from experiments.cli import CommandError, command, console, one_line_errors
from hdlif_jax import data

DATASETS = {name: entry for name, entry in data.CATALOG.items() if isinstance(entry, data.PreparedEntry)}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to prepare, from what, and where to."""

    name: Annotated[str, tyro.conf.arg(metavar="NAME", help=f"Dataset: one of {', '.join(DATASETS)}.")]
    source: Annotated[pathlib.Path | None, tyro.conf.arg(name="from", metavar="ORIGINAL_FILES")] = None
    """Folder or archive with the files as their authors distribute them."""
    to: Annotated[pathlib.Path, tyro.conf.arg(metavar="DIR")] = pathlib.Path("data")
    """Data directory, the --data.dir of training."""
    download: bool = False
    """Let tensorflow-datasets fetch the files over the network, into DIR/downloads."""
    partial: bool = False
    """Accept other numbers of examples and other checksums than the official ones: a part of a dataset."""


def show_progress(items: Iterable[Any], description: str, total: int | None) -> Iterator[Any]:
    """Passes items on and shows a bar."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=description)


def parse_arguments(argv: list[str]) -> Arguments:
    """The command line's arguments.

    Raises:
      CommandError: an unknown dataset, or neither or both of --from and --download.
    """
    with one_line_errors():
        arguments = tyro.cli(
            Arguments, prog="python -m experiments.prepare_data", args=argv, config=(tyro.conf.PositionalRequiredArgs,)
        )
    if arguments.name not in DATASETS:
        raise CommandError(f"unknown dataset {arguments.name!r}; the datasets are {', '.join(DATASETS)}")
    if (arguments.source is None) != arguments.download:
        entry = DATASETS[arguments.name]
        raise CommandError(
            f"{arguments.name} is made from {entry.what_to_get()}: "
            "name their folder with --from, or fetch with --download"
        )
    return arguments


@command
def main() -> None:
    """Entry point."""
    arguments = parse_arguments(sys.argv[1:])
    started = time.perf_counter()
    source = arguments.source
    if source is None:
        console.print(f"fetching {arguments.name}")
        source = data.download(arguments.name, arguments.to)
    path = data.prepare(arguments.name, source, arguments.to, partial=arguments.partial, progress=show_progress)
    console.print(f"{path} is ready ({time.perf_counter() - started:.1f} s)")


if __name__ == "__main__":
    main()
