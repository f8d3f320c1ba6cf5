"""What watches a run besides metrics.jsonl: TensorBoard, a profile, a clock."""

import pathlib
import resource
import statistics
import time
from typing import Any

import jax

from experiments.cli import CommandError

PROFILED = (3, 6)  # calls to the device: from after the first ones, which compile, for this many


class TensorBoard:
    """Scalars of a run as TensorBoard files, written without TensorFlow.

    Args:
      path: folder of the files.
      first_step: what an earlier process wrote after it is hidden.

    Raises:
      CommandError: the writer is not installed.
    """

    def __init__(self, path: pathlib.Path, first_step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise CommandError(
                "--tensorboard needs the package tensorboardX: python -m pip install 'hdlif_jax[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(path), purge_step=first_step + 1)

    def step(self, record: dict[str, Any]) -> None:
        """Loss, accuracy and learning rate of a batch."""
        for name in ("loss", "accuracy", "learning_rate"):
            self._writer.add_scalar(f"train/{name}", record[name], record["step"])

    def epoch(self, record: dict[str, Any]) -> None:
        """Validation accuracy by time-step, firing rates and speed of an epoch."""
        step = record["step"]
        for t, accuracy in enumerate(record["validation_accuracy_per_step"] or [], 1):
            self._writer.add_scalar(f"validation/accuracy_after_{t}_steps", accuracy, step)
        for layer, rate in record["firing_rates"].items():
            self._writer.add_scalar(f"firing_rate/{layer}", rate, step)
        self._writer.add_scalar("speed/images_per_second", record["images_per_second"], step)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


class Profile:
    """A profile of a few calls to the device, taken once per process.

    Args:
      path: folder of the files.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._calls = 0
        self._running = False

    def state(self, step: int, variables: Any) -> None:
        """Starts or ends the profile at its call."""
        del step
        first, number = PROFILED
        self._calls += 1
        if self._calls == first:
            jax.profiler.start_trace(self._path)
            self._running = True
        elif self._calls == first + number:
            jax.block_until_ready(variables)
            self.close()

    def close(self) -> None:
        """Ends it if it runs."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()


class Clock:
    """Times training steps by when the calls to the device return; the first call, which compiles, is left out."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._milliseconds: list[float] = []
        self._calls = 0

    def state(self, step: int, variables: Any) -> None:
        """Notes the time of a step."""
        del variables
        now = time.perf_counter()
        self._calls += 1
        if self._last is not None and self._calls > 3:
            steps = step - self._last[0]
            self._milliseconds.append(1000 * (now - self._last[1]) / steps)
        self._last = step, now

    @property
    def step_milliseconds(self) -> float | None:
        """Median time of a training step; None if too few were taken."""
        return round(statistics.median(self._milliseconds), 3) if self._milliseconds else None


def peak_memory() -> dict[str, Any]:
    """The most memory that was in use, in MB: of one device where the backend counts it, else of this process."""
    statistics_ = jax.local_devices()[0].memory_stats()
    if statistics_ and "peak_bytes_in_use" in statistics_:
        return {"peak_memory_mb": round(statistics_["peak_bytes_in_use"] / 1e6, 1), "peak_memory_of": "device"}
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_mb": round(kilobytes * 1024 / 1e6, 1), "peak_memory_of": "process"}
