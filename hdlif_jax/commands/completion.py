"""Prints what completes words behind `hdlif` in a shell: `hdlif completion bash|zsh|fish`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import io
import operator
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from hdlif_jax.commands.main import commands
from hdlif_jax.commands.prepare_data import DATASETS
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies import STUDIES
from hdlif_jax.commands.support.cli import conf, parse
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.field_help import REGISTRY
from hdlif_jax.commands.support.program import HDLIF

NAMES: dict[str, Iterable[str]] = {  # what may come first
    "train": PRESETS,
    "costs": PRESETS,
    "study": STUDIES,
    "prepare-data": DATASETS,
}
END = "if __name__ == "  # of the program that tyro puts into a script
FILES = {"complete -F": "complete -o default -F", "complete --no-files": "complete"}  # of bash and of fish

# tyro completes subcommands, options and their choices. What comes first, such as a preset, has the options of its
# command behind it; where nothing is known, a file may be meant. Without double quotes, which fish would read.
MORE = """\
for _name, _firsts in {names}.items():
    _spec = COMPLETION_SPEC['subcommands'][_name]
    _spec['subcommands'] = {{_first: dict(_spec, subcommands={{}}, description=_first) for _first in _firsts}}
_known = get_completions


def get_completions(words, current_word_index, spec):
    return _known(words, current_word_index, spec) or ['__TYRO_COMPLETE_FILES__']


"""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Prints a script that completes commands, options, presets and studies.

    Bash: eval "$(hdlif completion bash)" in ~/.bashrc.

    Zsh: hdlif completion zsh > DIR/_hdlif, with a DIR of $fpath.

    Fish: hdlif completion fish > ~/.config/fish/completions/hdlif.fish
    """

    shell: conf.Positional[Literal["bash", "zsh", "fish"]]
    """Shell that is to read it."""


def script(shell: str) -> str:
    """A program of a shell that completes the words behind `hdlif`."""
    import tyro  # where it is missing, `cli` has said so

    kinds = [Annotated[_words_of(name), conf.subcommand(name.replace("_", "-"))] for name in commands()]
    any_of: Any = functools.reduce(operator.or_, kinds)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            tyro.cli(any_of, prog=HDLIF, registry=REGISTRY, args=["--tyro-write-completion", shell, "-"])
    except SystemExit as end_of_script:
        if end_of_script.code not in (None, 0):
            raise
    names = {name: list(firsts) for name, firsts in NAMES.items()}
    before, end, behind = printed.getvalue().rpartition(END)
    whole = before + MORE.format(names=names) + end + behind
    for registered, with_files in FILES.items():
        whole = whole.replace(registered, with_files)
    return whole


def _words_of(name: str) -> type:
    """A dataclass of what a command takes."""
    module = importlib.import_module(f"hdlif_jax.commands.{name}")
    found: type = module.Arguments if hasattr(module, "Arguments") else _options_of(name, module.parser())
    return found


def _options_of(name: str, parser: argparse.ArgumentParser) -> type:
    """The same of a parser of argparse."""
    fields: list[tuple[str, Any, Any]] = []
    for action in parser._actions:
        if action.option_strings and action.dest not in ("help", "version"):
            kind: Any = bool if action.nargs == 0 else Literal[tuple(action.choices)] if action.choices else str
            default = False if kind is bool else None
            option = action.option_strings[0].removeprefix("--")
            fields.append((action.dest, Annotated[kind | None, conf.arg(name=option, help=action.help)], default))
    return dataclasses.make_dataclass(name, fields)


@command
def main() -> None:
    """Entry point."""
    print(script(parse(Arguments, "completion").shell))


if __name__ == "__main__":
    main()
