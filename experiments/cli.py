"""What the commands share: errors in one line, and where a command was told to write."""

import contextlib
import functools
import io
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import rich.console

from hdlif_jax.training import TrainingDiverged

console = rich.console.Console(highlight=False, soft_wrap=True)
INTERRUPTED = 130  # the shell's exit status of a command that SIGINT ended


class CommandError(Exception):
    """Something the user can mend; its message says how."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """A signal asked for it; nothing was lost.

    Args:
      message: what was done until then.
      status: exit status of a process that the signal ended.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


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


def fail(message: str, status: int) -> NoReturn:
    """Prints one line to standard error and exits."""
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(status)
