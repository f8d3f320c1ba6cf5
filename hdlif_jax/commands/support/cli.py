"""What the commands share: their arguments and their console."""

import contextlib
import importlib.util
import inspect
import io
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, TypeVar

from hdlif_jax.commands.support.entry import MENDABLE, fail
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.program import program

T = TypeVar("T")

WIDTH = 80  # columns of help, at most

EXTRA = ("filelock", "matplotlib", "tyro")  # what the extra hdlif_jax[commands] brings; rich comes with Flax, too


_missing = [package for package in EXTRA if importlib.util.find_spec(package) is None]
if _missing:  # before the imports that would end in a traceback
    fail(f"error: the commands need {', '.join(_missing)}: python -m pip install 'hdlif_jax[commands]'", MENDABLE)

import rich.console  # noqa: E402
import tyro  # noqa: E402
from tyro import conf  # noqa: E402, F401 - commands annotate their arguments with it

from hdlif_jax.commands.support.field_help import REGISTRY  # noqa: E402

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
    description = _indented(options.pop("description", None) or inspect.getdoc(kind) or "")
    words = sys.argv[1:] if argv is None else argv
    with one_line_errors():
        return tyro.cli(kind, prog=program(name), args=words, description=description, registry=REGISTRY, **options)


def _indented(text: str) -> str:
    """Text in lines that fit; tyro prints descriptions as they are, but joins lines that begin with a letter."""
    width = min(shutil.get_terminal_size().columns, WIDTH)
    wrapped = (textwrap.fill(part, width, initial_indent="  ", subsequent_indent="  ") for part in text.split("\n\n"))
    return "\n".join(wrapped)


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


def where_presets_are() -> str:
    """The end of a message about a preset that does not exist."""
    return f"`{program('train')} --help` lists the presets"
