"""Events of a neuromorphic camera, and their integration into the frames that a network sees, one per time-step."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from hdlif_jax.data.errors import DataError

Slicing = Literal["equal-time", "equal-count"]
CHUNK = 1 << 20  # events held in memory at a time while a long recording is read


class Events(NamedTuple):
    """A piece of a recording, in the order of time.

    Attributes:
      time: `[N]` microseconds, int64.
      x: `[N]` column from the left, int.
      y: `[N]` row from the top, int.
      polarity: `[N]` bool, True where the brightness rose.
    """

    time: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray


class Recording(NamedTuple):
    """A recording that is read piece by piece, so that it may be larger than memory.

    Attributes:
      where: the file, for messages.
      sensor: (H, W) in pixels.
      num_events: N.
      first_time: of the first event, microseconds.
      last_time: of the last event, microseconds.
      chunks: gives the events from the beginning, at most `CHUNK` at a time; every piece is checked when it is read.
    """

    where: str
    sensor: tuple[int, int]
    num_events: int
    first_time: int
    last_time: int
    chunks: "Iterable[Events]"


def check_events(
    events: Events, sensor: tuple[int, int], where: str, offset_of: Callable[[int], int], after: int | None = None
) -> None:
    """Checks that events lie on the sensor and in the order of time.

    Args:
      events: to check.
      sensor: (H, W).
      where: the file, for messages.
      offset_of: `(index of an event) -> byte` in that file.
      after: time of the event before the first.

    Raises:
      DataError: names the first bad event's byte.
    """
    height, width = sensor
    outside = np.flatnonzero((events.x < 0) | (events.x >= width) | (events.y < 0) | (events.y >= height))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"{where}, byte {offset_of(first)}: event at x={events.x[first]}, y={events.y[first]} is outside the "
            f"{width}×{height} sensor; the file is damaged or of another camera"
        )
    before = np.concatenate([events.time[:1] if after is None else [after], events.time[:-1]])
    back = np.flatnonzero(events.time < before)
    if back.size:
        first = int(back[0])
        raise DataError(
            f"{where}, byte {offset_of(first)}: event at {events.time[first]} µs follows one at {before[first]} µs; "
            "events must be in the order of time"
        )


def recording_of(events: Events, sensor: tuple[int, int], where: str = "events") -> Recording:
    """A recording that is already in memory."""
    first, last = (int(events.time[0]), int(events.time[-1])) if len(events.time) else (0, 0)
    return Recording(where, sensor, len(events.time), first, last, _InMemory(events))


class _InMemory:
    def __init__(self, events: Events) -> None:
        self.events = events

    def __iter__(self) -> Iterator[Events]:
        for start in range(0, len(self.events.time), CHUNK):
            yield Events(*(values[start : start + CHUNK] for values in self.events))


def load_events(recording: Recording) -> Events:
    """All events of a recording in memory."""
    pieces = list(recording.chunks)
    if not pieces:
        return Events(np.zeros(0, np.int64), np.zeros(0, np.int16), np.zeros(0, np.int16), np.zeros(0, bool))
    return Events(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def integrate(
    recording: Recording,
    num_frames: int,
    *,
    slicing: Slicing = "equal-count",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Counts the events of each of T parts of a recording, pixel by pixel.

    With N events from time a to time b, event i at time u falls into frame

    - equal-time: ⌊T·(u − a)/(b − a + 1)⌋, parts of the same duration;
    - equal-count: ⌊T·i/N⌋, parts with the same number of events.

    To make the image smaller, the pixels that fall together are added: column x becomes ⌊x·W'/W⌋, row y ⌊y·H'/H⌋.

    Args:
      recording: from a reader; read once, piece by piece.
      num_frames: T.
      slicing: what the parts have in common.
      size: (H', W') of the frames, at most the sensor's; the sensor's by default.

    Returns:
      `[T, H', W', 2]` uint8 counts; channel 0 OFF, channel 1 ON; counts above 255 stay at 255.

    Raises:
      ValueError: no frames, no events, an unknown slicing, or frames larger than the sensor.
      DataError: a damaged recording.
    """
    (height, width), (new_height, new_width) = recording.sensor, size or recording.sensor
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames} must be at least 1")
    if slicing not in ("equal-time", "equal-count"):
        raise ValueError(f"slicing={slicing!r} is unknown; choose equal-time or equal-count")
    if not (1 <= new_height <= height and 1 <= new_width <= width):
        raise ValueError(f"size={size} must be between 1×1 and the sensor's {height}×{width} pixels")
    if recording.num_events == 0:
        raise DataError(f"{recording.where} holds no event; leave the file out")
    counts = np.zeros(num_frames * new_height * new_width * 2, np.int64)
    done = 0
    for events in recording.chunks:
        if slicing == "equal-time":
            duration = recording.last_time - recording.first_time + 1
            frame = (events.time.astype(np.int64) - recording.first_time) * num_frames // duration
        else:
            frame = np.arange(done, done + len(events.time), dtype=np.int64) * num_frames // recording.num_events
        row = events.y.astype(np.int64) * new_height // height
        column = events.x.astype(np.int64) * new_width // width
        cell = ((frame * new_height + row) * new_width + column) * 2 + events.polarity
        counts += np.bincount(cell, minlength=counts.size)
        done += len(events.time)
    return np.minimum(counts, 255).astype(np.uint8).reshape(num_frames, new_height, new_width, 2)
