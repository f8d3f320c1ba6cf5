"""Times of functions that take turns, so that what else the machine does falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

SETTLING = 0.1  # seconds until the threads of what ran before have stopped to wait for more, which they do awake


class Timing(NamedTuple):
    """Seconds of one call.

    Attributes:
      median: over the rounds.
      least: over the rounds, which says the most on a machine that others use.
    """

    median: float
    least: float


def in_turns(functions: Mapping[str, Callable[[], Any]], rounds: int, calls: int = 1) -> dict[str, Timing]:
    """Times functions without arguments, after calls of each that compile, fill the caches and let others settle.

    Args:
      functions: by name; what they return is waited for.
      rounds: how often each is timed.
      calls: in a row, waited for at the end, so that a GPU has work while the next is on its way.
    """
    for function in functions.values():
        jax.block_until_ready(function())
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            settled = time.perf_counter() + SETTLING
            while time.perf_counter() < settled:
                jax.block_until_ready(function())
            start = time.perf_counter()
            for _ in range(calls):
                result = function()
            jax.block_until_ready(result)
            times[name].append((time.perf_counter() - start) / calls)
    return {name: Timing(statistics.median(row), min(row)) for name, row in times.items()}
