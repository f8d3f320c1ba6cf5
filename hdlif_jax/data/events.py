"""Events of an event camera: what they are, what is checked of them, and recordings of them."""

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax.data.errors import DamagedError

CHUNK = 1 << 20  # events held in memory at a time while a long recording is read
LATE = 1000  # µs: by how much an event may come late to be put where it belongs, and not to be damage

Locate = Callable[[int], str]  # the index of an event to where it is, such as "byte 40"


class Events(NamedTuple):
    """A piece of a recording, in the order of time.

    Attributes:
      time: `[N]` whole microseconds.
      x: `[N]` column from the left, of an integer type.
      y: `[N]` row from the top, of an integer type.
      polarity: `[N]` bool, True where the brightness rose.
    """

    time: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray


def locate_in_memory(index: int) -> str:
    """Where an event is that lies in no file."""
    return f"event {index}"


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


def checked(
    events: Events,
    sensor: tuple[int, int],
    where: str,
    locate: Locate = locate_in_memory,
    first: int = 0,
    after: int | None = None,
    ordered: bool = True,
) -> Events:
    """Events that are sure to be integers of one length, on the sensor, and in the order of time.

    Args:
      events: to check.
      sensor: (H, W).
      where: the file, for messages.
      locate: where an event is in that file.
      first: index of the first one in its recording.
      after: time of the event before the first.
      ordered: whether the order is checked.

    Returns:
      The same events, with polarity as bool.

    Raises:
      DamagedError: names the first bad event and where it is.
    """
    time, x, y, polarity = (np.asarray(column) for column in events)
    lengths = [column.shape for column in (time, x, y, polarity)]
    if len(set(lengths)) > 1 or time.ndim != 1:
        raise DamagedError(f"{where}: time, x, y and polarity are of shapes {lengths}; expected one length [N] of all")
    if not len(time):
        return Events(time.astype(np.int64), x.astype(np.int16), y.astype(np.int16), polarity.astype(bool))
    for name, column, way in (
        ("time", time, "whole microseconds, such as np.round(1e6 * seconds).astype(np.int64)"),
        ("x", x, "pixel columns of an integer type"),
        ("y", y, "pixel rows of an integer type"),
    ):
        if column.dtype.kind not in "iu":
            raise DamagedError(f"{where}: {name} is {column.dtype}; expected {way}")
    if time.dtype == np.uint64 and time.max() > np.iinfo(np.int64).max:
        raise DamagedError(f"{where}: time goes up to {time.max()} µs, which no clock shows; subtract the first time")
    height, width = sides(sensor, "sensor")
    if x.min() < 0 or x.max() >= width or y.min() < 0 or y.max() >= height:
        index = int(np.flatnonzero((x < 0) | (x >= width) | (y < 0) | (y >= height))[0])
        fits_turned = x.min() >= 0 and x.max() < height and y.min() >= 0 and y.max() < width
        way = (
            f"they fit one of {height}×{width}: the sensor is given as (height, width), and x is the column"
            if fits_turned
            else "the events are damaged or of another camera"
        )
        raise DamagedError(
            f"{where}, {locate(first + index)}: event at x={x[index]}, y={y[index]} is outside the {width}×{height} "
            f"sensor (width×height); {way}"
        )
    if ordered:
        _check_order(time, where, locate, first, after)
    return Events(time, x, y, polarity_of(polarity, where))


def sides(pair: tuple[int, int], name: str) -> tuple[int, int]:
    """Height and width, as given; says what is expected of anything else.

    Raises:
      ValueError: other than two whole numbers of at least 1.
    """
    try:
        height, width = (operator.index(side) for side in pair)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(f"{name}={pair!r} must be (height, width) in pixels")
    return height, width


def polarity_of(polarity: np.ndarray, where: str) -> np.ndarray:
    """Polarities as bool: True where the brightness rose.

    One rule for the three ways in which they are written: bool as it is; integers that are all 0 and 1 or all −1 and 1,
    of which 1 is a rise. Both 0 and −1, or any other value, are refused.

    Args:
      polarity: `[N]`.
      where: the file, for messages.

    Raises:
      DamagedError: any other type or value.
    """
    if polarity.dtype.kind == "b":
        return polarity
    expected = "expected bool, or integers of which all are 0 and 1, or all −1 and 1"
    if polarity.dtype.kind not in "iu":
        raise DamagedError(f"{where}: polarity is {polarity.dtype}; {expected}")
    rises: np.ndarray = polarity == 1
    if not (np.all(rises | (polarity == 0)) or np.all(rises | (polarity == -1))):
        values = np.unique(polarity)
        shown = ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
        raise DamagedError(f"{where}: polarity has the values {shown}; {expected}")
    return rises


def _check_order(time: np.ndarray, where: str, locate: Locate, first: int, after: int | None) -> None:
    back = np.flatnonzero(time[1:] < time[:-1]) + 1
    if after is not None and time[0] < after:
        back = np.zeros(1, np.int64)
    if back.size:
        index = int(back[0])
        before = after if index == 0 else time[index - 1]
        raise DamagedError(
            f"{where}, {locate(first + index)}: event at {time[index]} µs follows one at {before} µs; "
            "events must be in the order of time (np.argsort(time, kind='stable') gives it)"
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
