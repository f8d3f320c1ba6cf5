"""What the commands share: their arguments and their console."""

import contextlib
import difflib
import importlib.util
import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from hdlif_jax.commands.support.entry import MENDABLE, fail
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.program import program

T = TypeVar("T")

NEAREST = 3  # words that a message about an unknown one names

EXTRA = ("filelock", "matplotlib", "tyro")  # what the extra hdlif_jax[commands] brings; rich comes with Flax, too


_missing = [package for package in EXTRA if importlib.util.find_spec(package) is None]
if _missing:  # before the imports that would end in a traceback
    fail(f"error: the commands need {', '.join(_missing)}: python -m pip install 'hdlif_jax[commands]'", MENDABLE)

import rich.console  # noqa: E402
import tyro  # noqa: E402
from tyro import conf  # noqa: E402, F401 - commands annotate their arguments with it

console = rich.console.Console(highlight=False, soft_wrap=True)


def parse(kind: type[T], name: str, argv: list[str] | None = None, **options: Any) -> T:
    """A dataclass from the words of a command line.

    Args:
      kind: the dataclass.
      name: name of the command.
      argv: the words after the command's name; those of this process by default.
      **options: of `tyro.cli`.

    Raises:
      CommandError: a word that it does not understand.
    """
    with one_line_errors():
        return tyro.cli(kind, prog=program(name), args=sys.argv[1:] if argv is None else argv, **options)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns tyro's framed message about a bad option into one line."""
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            yield
    except SystemExit as exit_:
        if exit_.code in (None, 0):
            raise
        # Framed where the terminal can draw frames, with the title in the frame; plain lines elsewhere.
        lines = [line.strip("│ ") for line in captured.getvalue().splitlines() if not line.startswith(("╭", "╰"))]
        helptext = next((index for index, line in enumerate(lines) if "helptext" in line), len(lines))
        message = " ".join(line for line in lines[:helptext] if line.strip("─-"))
        raise CommandError(message.removeprefix("Error parsing ").removeprefix("Arguments: ")) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known words, at most three, as a question and a space; empty where none is near."""
    known = list(known)
    begins = [name for name in known if word and name.startswith(word)]
    close = difflib.get_close_matches(word, known, n=NEAREST, cutoff=0.6)
    nearest = list(dict.fromkeys([*begins, *close]))[:NEAREST]
    return f"did you mean {', '.join(nearest)}? " if nearest else ""


def where_presets_are() -> str:
    """The end of a message about a preset that does not exist."""
    return f"`{program('train')} --help` lists the presets"
