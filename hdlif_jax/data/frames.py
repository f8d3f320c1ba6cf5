"""Events to the frames that a network sees, one per time-step."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from hdlif_jax.checks import Count, check
from hdlif_jax.data.errors import DamagedError
from hdlif_jax.data.events import Events, sides
from hdlif_jax.data.recordings import Recording, pieces, recording_of

Slicing = Literal["equal-time", "equal-count"]


def frames_of(
    x: Any,
    y: Any,
    t: Any,
    p: Any,
    *,
    sensor: tuple[int, int],
    num_frames: int,
    slicing: Slicing = "equal-count",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Frames of your own recordings; for a `Dataset`, hand them on to `Dataset.from_arrays`.

    Args:
      x: `[N]` columns from the left, integers; of several recordings a list of such arrays, or `[B, N]`.
      y: rows from the top, likewise.
      t: whole microseconds, in order, likewise.
      p: polarities, likewise: bool, or integers that are all 0 and 1 or all −1 and 1; 1 is a rise of brightness.
      sensor: (H, W) in pixels.
      num_frames: T.
      slicing: what the frames have in common, see `integrate`.
      size: (H', W') of the frames, at most the sensor's; the sensor's by default.

    Returns:
      `[T, H', W', 2]` uint8 counts of one recording, or `[B, T, H', W', 2]` of several; channel 0 OFF, channel 1 ON.

    Raises:
      ValueError: events outside of the sensor, out of order, of other types or without any, columns that do not belong
        together, or as `integrate`.

    Examples:
      >>> frames_of([0, 1, 1], [0, 0, 1], [10, 20, 30], [1, -1, 1], sensor=(2, 2), num_frames=1).tolist()
      [[[[0, 1], [1, 0]], [[0, 0], [0, 1]]]]
    """
    columns = {"x": x, "y": y, "t": t, "p": p}
    several = {name: _is_several(column) for name, column in columns.items()}
    if len(set(several.values())) > 1:
        one = next(name for name, is_several in several.items() if not is_several)
        raise ValueError(
            f"{one} is one recording's and the others are several; give an array of each, or a list of arrays of each"
        )
    if not several["x"]:
        events = Events(*(np.asarray(column) for column in (t, x, y, p)))
        return integrate(recording_of(events, sensor), num_frames, slicing=slicing, size=size)
    numbers = {name: len(column) for name, column in columns.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"x, y, t and p are of {list(numbers.values())} recordings; give all four of each recording")
    if not len(x):
        raise ValueError("there are no recordings; give at least one")
    return np.stack(
        [
            integrate(
                recording_of(Events(*(np.asarray(column[index]) for column in (t, x, y, p))), sensor, where),
                num_frames,
                slicing=slicing,
                size=size,
            )
            for index, where in ((index, f"recording {index}") for index in range(len(x)))
        ]
    )


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
      recording: from a reader or `recording_of`; read once, piece by piece.
      num_frames: T.
      slicing: what the parts have in common.
      size: (H', W') of the frames, at most the sensor's; the sensor's by default.

    Returns:
      `[T, H', W', 2]` uint8 counts; channel 0 OFF, channel 1 ON; counts above 255 stay at 255.

    Raises:
      TypeError: frames in no whole number.
      ValueError: no frames, no events, an unknown slicing, or frames larger than the sensor.
      DamagedError: a damaged recording.
    """
    height, width = sides(recording.sensor, "sensor")
    new_height, new_width = (height, width) if size is None else sides(size, "size")
    num_frames, slicing = check("num_frames", num_frames, Count), check("slicing", slicing, Slicing)
    if new_height > height or new_width > width:
        raise ValueError(f"size={size} must be between 1×1 and the sensor's {height}×{width} pixels")
    if recording.num_events == 0:
        raise DamagedError(f"{recording.where} holds no event; leave it out")
    duration = recording.last_time - recording.first_time + 1
    if not 1 <= duration <= np.iinfo(np.int64).max // num_frames:
        raise DamagedError(f"{recording.where} lasts {duration} µs, which no recording does; correct its times")
    counts = np.zeros(num_frames * new_height * new_width * 2, np.int64)
    done = 0
    for events in pieces(recording):
        if slicing == "equal-time":
            frame = (events.time.astype(np.int64) - recording.first_time) * num_frames // duration
        else:
            frame = np.arange(done, done + len(events.time), dtype=np.int64) * num_frames // recording.num_events
        np.clip(frame, 0, num_frames - 1, out=frame)  # of a recording that is longer than it says, refused at its end
        row = events.y.astype(np.int64) * new_height // height
        column = events.x.astype(np.int64) * new_width // width
        cell = ((frame * new_height + row) * new_width + column) * 2 + events.polarity
        counts += np.bincount(cell, minlength=counts.size)
        done += len(events.time)
    return np.minimum(counts, 255).astype(np.uint8).reshape(num_frames, new_height, new_width, 2)


def _is_several(column: Any) -> bool:
    """Whether a column is of several recordings: a sequence of arrays, or an array of two axes."""
    if isinstance(column, Sequence) or getattr(column, "dtype", None) == np.dtype(object):
        return len(column) > 0 and np.ndim(column[0]) > 0
    return np.ndim(column) > 1
