import numpy as np
import pytest

from hdlif_jax.data import DataError
from hdlif_jax.data import events as events_module
from hdlif_jax.data.events import Events, check_events, integrate, load_events, recording_of
from tests.data.originals import random_events


def make(size=500, sensor=(12, 16), seed=0):
    times, x, y, polarity = random_events(np.random.default_rng(seed), size, sensor)
    return Events(np.array(times), np.array(x), np.array(y), np.array(polarity, bool)), sensor


@pytest.mark.parametrize("slicing", ["equal-time", "equal-count"])
def test_integration_equals_a_loop_over_the_events(slicing):
    events, sensor = make()
    frames = integrate(recording_of(events, sensor), 7, slicing=slicing, size=(6, 5))
    expected = np.zeros((7, 6, 5, 2), int)
    first, last = events.time[0], events.time[-1]
    for index, (time, x, y, on) in enumerate(zip(*events, strict=True)):
        frame = (time - first) * 7 // (last - first + 1) if slicing == "equal-time" else index * 7 // len(events.time)
        expected[frame, y * 6 // 12, x * 5 // 16, int(on)] += 1
    np.testing.assert_array_equal(frames, expected)


def test_equal_count_gives_every_frame_the_same_number_of_events():
    events, sensor = make(500)
    frames = integrate(recording_of(events, sensor), 10, slicing="equal-count")
    np.testing.assert_array_equal(frames.sum((1, 2, 3)), 50)


def test_equal_time_gives_every_frame_the_same_duration():
    events = Events(np.array([0, 9, 10, 19, 20, 39]), *np.zeros((2, 6), int), np.ones(6, bool))
    frames = integrate(recording_of(events, (1, 1)), 4, slicing="equal-time")
    np.testing.assert_array_equal(frames[:, 0, 0, 1], [2, 2, 1, 1])


def test_a_recording_read_in_pieces_gives_the_same_frames(monkeypatch):
    events, sensor = make(500)
    whole = integrate(recording_of(events, sensor), 7)
    monkeypatch.setattr(events_module, "CHUNK", 64)
    recording = recording_of(events, sensor)
    assert sum(1 for _ in recording.chunks) == 8
    np.testing.assert_array_equal(integrate(recording, 7), whole)
    np.testing.assert_array_equal(load_events(recording).time, events.time)


def test_counts_stay_at_255():
    events = Events(np.arange(300), *np.zeros((2, 300), int), np.zeros(300, bool))
    assert integrate(recording_of(events, (1, 1)), 1)[0, 0, 0, 0] == 255


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 0}, "num_frames=0 must be at least 1"),
        ({"slicing": "by-hand"}, "slicing='by-hand' is unknown; choose equal-time or equal-count"),
        ({"size": (13, 16)}, r"size=\(13, 16\) must be between 1×1 and the sensor's 12×16"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    events, sensor = make()
    with pytest.raises(ValueError, match=message):
        integrate(recording_of(events, sensor), **({"num_frames": 2} | changes))


def test_a_recording_without_events_is_refused():
    empty = Events(*np.zeros((3, 0), int), np.zeros(0, bool))
    with pytest.raises(DataError, match=r"x\.bin holds no event"):
        integrate(recording_of(empty, (2, 2), "x.bin"), 2)


def test_order_is_checked_across_pieces():
    events = Events(np.array([5]), *np.zeros((2, 1), int), np.zeros(1, bool))
    check_events(events, (1, 1), "f", lambda index: 8 * index, after=5)
    with pytest.raises(DataError, match="f, byte 0: event at 5 µs follows one at 6 µs"):
        check_events(events, (1, 1), "f", lambda index: 8 * index, after=6)
