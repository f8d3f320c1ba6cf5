"""What watches a run besides metrics.jsonl: TensorBoard, a profile, a clock."""

import pathlib
import resource
import statistics
from typing import Any

import jax

from hdlif_jax.commands.support.cli import console

PROFILED = (3, 6)  # calls to the device: from after the first ones, which compile, for this many


class TensorBoard:
    """Scalars of a run as TensorBoard files, written without TensorFlow.

    Args:
      path: folder of the files.
      first_step: what an earlier process wrote after it is hidden.
    """

    def __init__(self, path: pathlib.Path, first_step: int):
        from tensorboardX import SummaryWriter

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
            self._stop()

    def close(self) -> None:
        """Ends it if it runs; says so if it never began."""
        self._stop()
        if self._calls < PROFILED[0]:
            console.print("[yellow]warning:[/yellow] no profile: the run ended before its first calls had compiled")

    def _stop(self) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()


class Clock:
    """Times training steps by whole epochs, because calls to the device return before they are done.

    Args:
      batch_size: images per step.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._milliseconds: list[float] = []

    def epoch(self, record: dict[str, Any]) -> None:
        """Notes the mean time of an epoch's steps, evaluation left out."""
        self._milliseconds.append(1000 * self._batch_size / record["images_per_second"])

    @property
    def step_milliseconds(self) -> float | None:
        """Median over the epochs, without the first, which compiles, where there are more; None without an epoch."""
        timed = self._milliseconds[1:] or self._milliseconds
        return round(statistics.median(timed), 3) if timed else None


def peak_memory() -> dict[str, Any]:
    """The most memory that was in use, in MB: of one device where the backend counts it, else of this process."""
    statistics_ = jax.local_devices()[0].memory_stats()
    if statistics_ and "peak_bytes_in_use" in statistics_:
        return {"peak_memory_mb": round(statistics_["peak_bytes_in_use"] / 1e6, 1), "peak_memory_of": "device"}
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_mb": round(kilobytes * 1024 / 1e6, 1), "peak_memory_of": "process"}
