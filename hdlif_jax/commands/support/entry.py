"""How every command begins and ends: streams that take all texts, errors in one line, an exit status for each kind."""

import contextlib
import functools
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.terminal import discard, prepare_streams

MENDABLE = 2  # exit status after an error that the user can mend
DIVERGED = 3  # and of a training whose numbers are no longer finite
INTERRUPTED = 128 + signal.SIGINT  # the shell's status of a command that a signal ended
UNREAD = 128 + signal.SIGPIPE


def fail(message: str, status: int) -> NoReturn:
    """Prints one line to standard error and exits."""
    with contextlib.suppress(OSError):  # nobody reads it
        print(" ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(status)


def command(main: Callable[[], None]) -> Callable[[], None]:
    """Ends a command with one line and a non-zero status, instead of a traceback, for every error a user can mend."""

    @functools.wraps(main)
    def run() -> None:
        prepare_streams()
        for name in ("absl", "matplotlib"):  # the storage layer logs what it also raises; the other, where it caches
            logging.getLogger(name).setLevel(logging.CRITICAL)
        sys.unraisablehook = _without_stragglers
        try:
            try:
                main()
            finally:
                sys.stdout.flush()  # here, where an error of it is still one line
        except BrokenPipeError:  # the reader, such as head, has had enough
            discard("stdout", "stderr")
            sys.exit(UNREAD)
        except Stopped as stop:
            fail(str(stop), stop.status)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except (CommandError, ValueError, TypeError, ArithmeticError, ImportError) as error:
            fail(f"error: {error}", DIVERGED if _diverged(error) else MENDABLE)
        except MemoryError as error:
            fail(f"error: out of memory ({error}); choose a smaller batch or network", MENDABLE)
        except OSError as error:
            discard("stdout")
            fail(f"error: {error.filename or 'input or output'}: {error.strerror or error}", MENDABLE)
        except RuntimeError as error:
            if not _is_of_device(error):
                raise
            fail(f"error: the device says: {str(error).strip().splitlines()[0]}", MENDABLE)

    return run


def _diverged(error: Exception) -> bool:
    training = sys.modules.get("hdlif_jax.training")  # which is slow to import, and was, if it raised this
    return training is not None and isinstance(error, training.TrainingDiverged)


def _is_of_device(error: RuntimeError) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(error, jax.errors.JaxRuntimeError)


def _without_stragglers(unraisable: Any) -> None:
    # Where one write of a checkpoint fails, the other writers find the event loop gone that they report to; a screen
    # of tracebacks from their threads would bury the one line that says what is wrong.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
