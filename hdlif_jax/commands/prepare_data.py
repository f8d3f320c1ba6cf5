"""Prepares a dataset for training: `hdlif prepare-data NAME --from ORIGINAL_FILES --to DIR`."""

import dataclasses
import pathlib
import time
from typing import Annotated

from hdlif_jax import data
from hdlif_jax.commands.registry import DATASETS as ALL
from hdlif_jax.commands.support.cli import conf, console, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.progress import show_progress
from hdlif_jax.data.prepare import PROBLEMS

SHOWN = 10  # damaged files that are named on the terminal; a file beside the records names all

DATASETS = {name: entry for name, entry in ALL.items() if isinstance(entry, data.PreparedEntry)}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to prepare, from what, and where to."""

    name: Annotated[str, conf.arg(metavar="NAME", help=f"Dataset: one of {', '.join(DATASETS)}.")]
    source: Annotated[pathlib.Path | None, conf.arg(name="from", metavar="ORIGINAL_FILES")] = None
    """Folder or archive with the files as their authors distribute them."""
    to: Annotated[pathlib.Path, conf.arg(metavar="DIR")] = pathlib.Path("data")
    """Data directory, the --data.dir of training."""
    download: bool = False
    """Let tensorflow-datasets fetch the files over the network, into DIR/downloads."""
    partial: bool = False
    """Accept other numbers of examples and classes and other checksums than the official ones: a part of a dataset."""
    skip_damaged: bool = False
    """Go on without files that cannot be used, put events in order that are a little late, and say which."""


def parse_arguments() -> Arguments:
    """The command line's arguments.

    Raises:
      CommandError: an unknown dataset, or neither or both of --from and --download.
    """
    arguments = parse(Arguments, "prepare_data", config=(conf.PositionalRequiredArgs,))
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
    arguments = parse_arguments()
    started = time.perf_counter()
    source = arguments.source
    if source is None:
        console.print(f"fetching {arguments.name}")
        source = data.download(arguments.name, arguments.to)
    path = data.prepare(
        arguments.name,
        source,
        arguments.to,
        partial=arguments.partial,
        skip_damaged=arguments.skip_damaged,
        progress=show_progress,
    )
    problems = data.problems(path)
    for problem in problems[:SHOWN]:
        console.print(problem, markup=False)
    if problems:
        hidden = f"; the list is {path / PROBLEMS}" if len(problems) > SHOWN else ""
        console.print(f"damaged: {len(problems)} files, of which {_left_out(problems)} were left out{hidden}")
    console.print(f"{path} is ready ({time.perf_counter() - started:.1f} s)")


def _left_out(problems: list[str]) -> int:
    return sum(problem.startswith("left out") for problem in problems)


if __name__ == "__main__":
    main()
