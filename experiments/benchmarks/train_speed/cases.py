"""What is timed: an implementation of one network on one batch, by cases."""

import ctypes
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.train_speed.setup import NUM_STEPS

EVERY_STEP = [f"t*={t + 1}" for t in range(NUM_STEPS)]
INFERENCE = "inference"


class Implementation:
    """Times of the cases of one implementation.

    Attributes:
      name: in the table.
      precision: of convolutions.
      cases: name → `(n)`, runs n updates or inferences and waits for the last.
      updates: how many at a time, so that a GPU is not waited for after each.
      memory_mb: peak memory, in 10⁶ bytes; None where it is not known.
      memory_is: what that figure means.
      first_loss: a case and the loss of its first update; None where the batch is not the one of the others.
      trains_alike: whether that loss is to be the others', see `references.spikingjelly`.
      logits: `[T, B, K]` of the untrained network, where inference is what is timed.
    """

    name: str
    precision: str
    memory_mb: float | None = None
    memory_is: str = "not available"
    first_loss: tuple[str, float] | None = None
    trains_alike: bool = True
    logits: np.ndarray | None = None

    def __init__(self, name: str, precision: str):
        self.name, self.precision = name, precision
        self.cases: Mapping[str, Callable[[int], Any]] = {}
        self.updates = 1 if jax.default_backend() == "cpu" else 10
        self._times: dict[str, list[tuple[float, float]]] = {}

    def measure(self) -> None:
        """One more time of every case, after an update that is not timed and pays for the change of implementation."""
        next(iter(self.cases.values()))(1)
        for case, run in self.cases.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run(self.updates)
            passed = time.perf_counter() - start, time.process_time() - start_cpu
            self._times.setdefault(case, []).append((passed[0] / self.updates, passed[1] / self.updates))

    def timing(self, case: str) -> dict[str, float]:
        """Seconds of an update or inference: median and least wall-clock time, least processor time."""
        wall, processor = zip(*self._times[case], strict=True)
        return {"median": statistics.median(wall), "least": min(wall), "processor": min(processor)}

    def bytes_of(self, case: str) -> float | None:
        """Bytes that an update reads and writes, where that is known."""
        return None

    def measure_resident_growth(self) -> None:
        """On a CPU: how much more memory the process holds within an update than before it.

        Nothing else may run meanwhile. It takes the place of XLA's plan, to be comparable with PyTorch's.
        """
        reset = pathlib.Path("/proc/self/clear_refs")
        if not reset.exists():
            return
        ctypes.CDLL(None).malloc_trim(0)  # else what was freed before stays with the process and hides the growth
        reset.write_text("5")  # the peak starts again from here
        before = _status("VmRSS")
        for run in self.cases.values():
            run(1)
        self.memory_mb = max(0.0, _status("VmHWM") - before)
        self.memory_is = "growth of the process's resident memory within an update, parameters not included"


def _status(name: str) -> float:
    """A field of /proc/self/status in 10⁶ bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6
