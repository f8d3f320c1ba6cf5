"""Events of an event camera: what they are, and what is checked of them."""

import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hdlif_jax.data.errors import DamagedError

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
