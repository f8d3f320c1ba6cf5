"""What the commands share: their arguments, their console, and errors in one line."""

import contextlib
import difflib
import functools
import importlib.util
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.program import program
from hdlif_jax.training import TrainingDiverged

T = TypeVar("T")

INTERRUPTED = 130  # the shell's exit status of a command that SIGINT ended
EXTRA = ("filelock", "matplotlib", "tyro")  # what the extra hdlif_jax[commands] brings; rich comes with Flax, too


def fail(message: str, status: int) -> NoReturn:
    """Prints one line to standard error and exits."""
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(status)


_missing = [package for package in EXTRA if importlib.util.find_spec(package) is None]
if _missing:  # before the imports that would end in a traceback
    fail(f"error: the commands need {', '.join(_missing)}: python -m pip install 'hdlif_jax[commands]'", 2)

import rich.console  # noqa: E402
import tyro  # noqa: E402
from tyro import conf  # noqa: E402, F401 - commands annotate their arguments with it

console = rich.console.Console(highlight=False, soft_wrap=True)


def command(main: Callable[[], None]) -> Callable[[], None]:
    """Ends a command with one line and a non-zero status, instead of a traceback, for every error a user can mend."""

    @functools.wraps(main)
    def run() -> None:
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # the storage layer logs what it also raises
        sys.unraisablehook = _without_stragglers
        try:
            main()
        except Stopped as stop:
            fail(str(stop), stop.status)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except TrainingDiverged as error:
            fail(f"error: {error}", 3)
        except (CommandError, ValueError, TypeError) as error:
            fail(f"error: {error}", 2)
        except OSError as error:
            fail(f"error: {error.filename or 'input or output'}: {error.strerror or error}", 2)

    return run


def _without_stragglers(unraisable: Any) -> None:
    # Where one write of a checkpoint fails, the other writers find the event loop gone that they report to; a screen
    # of tracebacks from their threads would bury the one line that says what is wrong.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


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
    """The nearest known word, as the start of a sentence; empty where none is near."""
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {nearest[0]}? " if nearest else ""
