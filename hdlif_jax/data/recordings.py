"""Recordings of an event camera, in memory or read piece by piece; events are checked once, where they are read."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax.data.errors import DamagedError
from hdlif_jax.data.events import Events, Locate, checked, locate_in_memory

CHUNK = 1 << 20  # events held in memory at a time while a long recording is read
LATE = 1000  # µs: by how much an event may come late to be put where it belongs, and not to be damage


class Recording(NamedTuple):
    """A recording that is read piece by piece, so that it may be larger than memory.

    Attributes:
      where: the file, for messages.
      sensor: (H, W) in pixels.
      num_events: N.
      first_time: of the first event, microseconds.
      last_time: of the last event, microseconds.
      chunks: gives the events from the beginning, at most `CHUNK` at a time. What reads them checks every piece.
      locate: says where an event is in the file, for messages.
    """

    where: str
    sensor: tuple[int, int]
    num_events: int
    first_time: int
    last_time: int
    chunks: Iterable[Events]
    locate: Locate = locate_in_memory


def recording_of(
    events: Events, sensor: tuple[int, int], where: str = "events", locate: Locate = locate_in_memory
) -> Recording:
    """A recording that is already in memory; its events are checked here, once.

    Args:
      events: columns as `Events` has them; polarity also as integers, see `polarity_of`.
      sensor: (H, W).
      where: the file, for messages.
      locate: where an event is in that file.

    Raises:
      DamagedError: events outside of the sensor, out of order, or columns of other types or lengths.
    """
    events = checked(events, sensor, where, locate)
    first, last = (int(events.time[0]), int(events.time[-1])) if len(events.time) else (0, 0)
    return Recording(where, sensor, len(events.time), first, last, _Checked(events), locate)


class _Checked:
    """Events that were checked as a whole."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def __iter__(self) -> Iterator[Events]:
        for start in range(0, len(self.events.time), CHUNK):
            yield Events(*(values[start : start + CHUNK] for values in self.events))


def pieces(recording: Recording, ordered: bool = True) -> Iterator[Events]:
    """The events of a recording, piece by piece, each one checked.

    Args:
      recording: from a reader, or your own.
      ordered: whether they must be in the order of time.

    Raises:
      DamagedError: as `recording_of`, or not as many events as the recording says, or not from its first to its last
        time.
    """
    if isinstance(recording.chunks, _Checked):
        yield from recording.chunks
        return
    where, done = recording.where, 0
    first: int | None = None
    last: int | None = None
    for piece in recording.chunks:
        piece = checked(piece, recording.sensor, where, recording.locate, done, last if ordered else None, ordered)
        if len(piece.time):
            first, last = int(piece.time[0]) if first is None else first, int(piece.time[-1])
        done += len(piece.time)
        yield piece
    if done != recording.num_events:
        raise DamagedError(f"{where}: {done} events, and the recording says {recording.num_events}; correct num_events")
    if done and (first, last) != (recording.first_time, recording.last_time):
        raise DamagedError(
            f"{where}: events from {first} to {last} µs, and the recording says from {recording.first_time} to "
            f"{recording.last_time} µs; correct first_time and last_time"
        )


def load_events(recording: Recording) -> Events:
    """All events of a recording in memory.

    Raises:
      DamagedError: as `pieces`.
    """
    return _joined(pieces(recording))


def load_in_order(recording: Recording, late: int = LATE) -> tuple[Events, int]:
    """All events of a recording, of which some may come a little late: those are put where they belong.

    The sort is stable: events of the same time stay in their order.

    Args:
      recording: from a reader.
      late: by how many microseconds an event may come after a later one.

    Returns:
      The events in order, and how many were late.

    Raises:
      DamagedError: as `pieces`, or an event that is later than that.
    """
    events = _joined(pieces(recording, ordered=False))
    latest = np.maximum.accumulate(events.time)
    delay = latest - events.time
    if not delay.any():
        return events, 0
    worst = int(np.argmax(delay))
    if delay[worst] > late:
        raise DamagedError(
            f"{recording.where}, {recording.locate(worst)}: event at {events.time[worst]} µs follows one at "
            f"{latest[worst]} µs; events must be in the order of time, and only up to {late} µs are put right"
        )
    order = np.argsort(events.time, kind="stable")
    return Events(*(column[order] for column in events)), int(np.count_nonzero(delay))


def _joined(parts: Iterable[Events]) -> Events:
    found: list[Any] = list(parts)
    if not found:
        return Events(np.zeros(0, np.int64), np.zeros(0, np.int16), np.zeros(0, np.int16), np.zeros(0, bool))
    return Events(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
