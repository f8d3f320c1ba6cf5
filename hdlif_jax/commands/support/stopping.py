"""How a training stops when it is asked to."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.errors import Stopped
from hdlif_jax.training import Interrupted

SAME_REQUEST = 1.0  # seconds in which a signal is that of the first request, handed on by whoever started this process


@contextlib.contextmanager
def stop_requests(more: bool = False) -> Iterator[Callable[[int], bool]]:
    """Yields `should_stop(step)`: whether SIGINT or SIGTERM came. Another one ends the process as usual.

    Of several processes all stop at the same step, after any of them got SIGTERM, which is how schedulers announce that
    they will take a machine away.

    Args:
      more: whether more is trained after this, which a request that came too late to stop this stops, too.

    Raises:
      Stopped: the run stopped because of it; has the exit status of a process that the signal ended.
    """
    received: list[int] = []
    asked = 0.0
    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        def should_stop(step: int) -> bool:
            stops = reached_preemption_sync_point(step)
            received.extend([signal.SIGTERM] * stops)
            return stops

        signals = ()  # the runtime listens itself
    else:

        def should_stop(step: int) -> bool:
            del step
            return bool(received)

    previous = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def request(number: int, frame: Any) -> None:
        nonlocal asked
        del frame
        if received:
            if time.monotonic() - asked > SAME_REQUEST:
                restore()
                signal.raise_signal(number)
            return
        received.append(number)
        asked = time.monotonic()
        console.print("stopping after the batch that runs, with a checkpoint; once more ends at once, without one")

    for number in signals:
        signal.signal(number, request)
    try:
        yield should_stop
        if more and received:
            raise Stopped("stopped before what comes next", 128 + received[0])
    except Interrupted as interruption:
        raise Stopped(str(interruption), 128 + received[0]) from interruption
    finally:
        restore()
