"""Work in a process of its own, whose memory is then its own, too, and which ends when the one that asked does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError, Stopped

POLL = 0.5  # seconds
SIGNALLED = 128  # and the signal's number: exit status of a process that a signal ended


def in_own_process(work: Callable[[], None], log: pathlib.Path, watch: Callable[[], None] = lambda: None) -> None:
    """Does work in a process of its own, and waits for it.

    Args:
      work: can be pickled, so a function of a module, or a `partial` of one; ends as commands do.
      log: what it prints is added to this file.
      watch: called twice a second meanwhile.

    Raises:
      CommandError: it failed; has the last line of an error that it printed.
      Stopped: a signal asked for it, here or there; the work was asked to stop and has done so.
    """
    begun = log.stat().st_size if log.exists() else 0
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(work, log))
    with stop_requests() as received:
        _start(process)
        try:
            while process.exitcode is None:
                process.join(POLL)
                if received:
                    raise Stopped("stopped", SIGNALLED + received[0])
                watch()
        finally:
            if process.is_alive():
                process.terminate()
            process.join()
    status = process.exitcode
    if status and (status < 0 or status > SIGNALLED):
        stopped = -status if status < 0 else status - SIGNALLED
        raise Stopped(f"ended by {signal.Signals(stopped).name}", SIGNALLED + stopped)
    if status:
        lines = log.read_bytes()[begun:].decode(errors="replace").strip().splitlines()
        said = [line for line in lines if line.startswith("error: ")] or lines  # another process may write there, too
        raise CommandError(said[-1].removeprefix("error: ") if said else f"exit status {status}")


def _start(process: BaseProcess) -> None:
    # Ctrl-C goes to all processes of a terminal: until the new one listens itself, it is asked from here alone.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.start()
    signal.signal(signal.SIGINT, handler)


def _work(work: Callable[[], None], log: pathlib.Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log.open("a", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        command(work)()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
