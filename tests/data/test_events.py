import numpy as np
import pytest

from hdlif_jax.data import DataError, recordings
from hdlif_jax.data.events import Events
from hdlif_jax.data.frames import frames_of, integrate
from hdlif_jax.data.recordings import Recording, load_events, load_in_order, recording_of
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
    monkeypatch.setattr(recordings, "CHUNK", 64)
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
        ({"num_frames": 2.5}, "num_frames=2.5 must be an integer"),
        ({"num_frames": True}, "num_frames=True must be an integer"),
        ({"size": 6}, r"size=6 must be \(height, width\) in pixels"),
        ({"slicing": "by-hand"}, "slicing='by-hand' is unknown; choose one of equal-time, equal-count"),
        ({"size": (13, 16)}, r"size=\(13, 16\) must be between 1×1 and the sensor's 12×16"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    events, sensor = make()
    with pytest.raises((TypeError, ValueError), match=message):
        integrate(recording_of(events, sensor), **({"num_frames": 2} | changes))


def test_a_recording_without_events_is_refused():
    empty = Events(*np.zeros((3, 0), int), np.zeros(0, bool))
    with pytest.raises(DataError, match=r"x\.bin holds no event"):
        integrate(recording_of(empty, (2, 2), "x.bin"), 2)


def own(**changes):
    """Three events on a sensor of 2 rows and 3 columns."""
    columns = {
        "time": np.array([1, 2, 2]),
        "x": np.array([0, 2, 1]),
        "y": np.array([1, 0, 1]),
        "polarity": np.array([True, False, True]),
    }
    return Events(**(columns | changes))


BAD_EVENTS = {
    "x": ({"x": np.array([0, 3, 1])}, "event 1: event at x=3, y=0 is outside the 3×2 sensor"),
    "negative": ({"y": np.array([1, 0, -1])}, "event 2: event at x=1, y=-1 is outside"),
    "turned": ({"x": np.array([1, 0, 1]), "y": np.array([2, 0, 0])}, "they fit one of 2×3: .*given as .height, width"),
    "order": ({"time": np.array([1, 3, 2])}, "event 2: event at 2 µs follows one at 3 µs; events must be in the order"),
    "seconds": (
        {"time": np.array([1.0, 1.5, 2.0])},
        r"time is float64; expected whole microseconds, such as np\.round",
    ),
    "float-x": ({"x": np.array([0.0, 2.0, 1.0])}, "x is float64; expected pixel columns of an integer type"),
    "float-y": ({"y": np.array([0.0, 1.0, 1.0])}, "y is float64; expected pixel rows of an integer type"),
    "float-polarity": ({"polarity": np.array([0.0, 1.0, 1.0])}, "polarity is float64; expected bool, or integers"),
    "two": ({"polarity": np.array([0, 1, 2])}, "polarity has the values 0, 1, 2; expected bool, or integers"),
    "mixed": ({"polarity": np.array([0, 1, -1])}, "polarity has the values -1, 0, 1; expected"),
    "wrapped": ({"polarity": np.array([1, 255, 1], np.uint8)}, "polarity has the values 1, 255; expected"),
    "lengths": ({"y": np.array([1, 0])}, r"shapes \[\(3,\), \(3,\), \(2,\), \(3,\)\]; expected one length"),
}
DOORS = {
    "recording_of": lambda events: recording_of(events, (2, 3), "own.bin"),
    "integrate": lambda events: integrate(unchecked(events), 2),
    "load_events": lambda events: load_events(unchecked(events)),
    "frames_of": lambda events: frames_of(
        events.x, events.y, events.time, events.polarity, sensor=(2, 3), num_frames=2
    ),
}


def unchecked(events, **changes):
    """A recording that nobody has looked at, in two pieces."""
    parts = [Events(*(column[part] for column in events)) for part in (slice(0, 2), slice(2, None))]
    fields = {"num_events": len(events.time), "first_time": events.time[0], "last_time": events.time[-1]} | changes
    return Recording("own.bin", (2, 3), chunks=parts, **fields)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", BAD_EVENTS)
def test_every_door_refuses_bad_events(door, case):
    changes, message = BAD_EVENTS[case]
    if case == "lengths" and door in ("integrate", "load_events"):
        message = "expected one length"
    if case == "mixed" and door in ("integrate", "load_events"):
        changes, message = {"polarity": np.array([0, -1, 1])}, "polarity has the values -1, 0; expected"
    if case == "two" and door in ("integrate", "load_events"):
        message = "polarity has the values 2"
    with pytest.raises(ValueError, match=message) as caught:
        DOORS[door](own(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_takes_good_events(door):
    DOORS[door](own())


@pytest.mark.parametrize(
    "polarity",
    [[0, 1, 1], [-1, 1, 1], np.array([0, 1, 1], np.uint8), np.array([-1, 1, 1], np.int8), [False, True, True]],
)
def test_polarity_means_the_same_in_each_way_of_writing_it(polarity):
    frames = frames_of([0, 1, 2], [0, 1, 0], [5, 6, 7], polarity, sensor=(2, 3), num_frames=1)
    assert [frames[0, 0, 0, 0], frames[0, 1, 1, 1], frames[0, 0, 2, 1]] == [1, 1, 1]
    assert frames.sum() == 3


@pytest.mark.parametrize("value", [0, -1])
def test_a_recording_of_falls_alone_has_no_rise(value):
    frames = frames_of([0, 1], [0, 0], [5, 6], [value, value], sensor=(1, 2), num_frames=1)
    assert frames[0, ..., 0].sum() == 2


@pytest.mark.parametrize("several", [list, tuple, lambda parts: np.array(list(parts), dtype=object)])
def test_several_recordings_give_the_frames_of_each(several):
    columns = []
    for seed, size in ((0, 50), (1, 70)):
        events, sensor = make(size, seed=seed)
        columns.append((events.x, events.y, events.time, events.polarity))
    batch = frames_of(*map(several, zip(*columns, strict=True)), sensor=sensor, num_frames=4, size=(6, 8))
    assert batch.shape == (2, 4, 6, 8, 2)
    for frames, one in zip(batch, columns, strict=True):
        np.testing.assert_array_equal(frames, frames_of(*one, sensor=sensor, num_frames=4, size=(6, 8)))
        t, x, y, p = one[2], one[0], one[1], one[3]
        expected = integrate(recording_of(Events(t, x, y, p), sensor), 4, size=(6, 8))
        np.testing.assert_array_equal(frames, expected)


def test_recordings_of_one_length_are_taken_as_an_array():
    x, t = np.array([[0, 1], [1, 1]]), np.array([[1, 2], [3, 4]])
    assert frames_of(x, x, t, x, sensor=(2, 2), num_frames=1).tolist() == [
        [[[[1, 0], [0, 0]], [[0, 0], [0, 1]]]],
        [[[[0, 0], [0, 0]], [[0, 0], [0, 2]]]],
    ]


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (np.array([0, 2**62]), "events lasts 4611686018427387905 µs, which no recording does"),
        (np.array([2**63 + 1, 2**63 + 2], np.uint64), "time goes up to 9223372036854775810 µs, which no clock shows"),
    ],
)
def test_times_that_do_not_fit_are_refused(time, message):
    with pytest.raises(DataError, match=message):
        frames_of([0, 0], [0, 0], time, [0, 1], sensor=(1, 1), num_frames=4, slicing="equal-time")


def test_no_recordings_are_refused():
    with pytest.raises(ValueError, match="there are no recordings"):
        frames_of(*np.zeros((4, 0, 3), int), sensor=(2, 2), num_frames=1)


def test_the_bad_one_of_several_recordings_is_named():
    good = np.array([0, 1])
    with pytest.raises(DataError, match="recording 1, event 1: event at x=5, y=1 is outside"):
        frames_of([good, np.array([0, 5])], [good] * 2, [good] * 2, [good] * 2, sensor=(2, 2), num_frames=1)
    with pytest.raises(DataError, match="recording 1 holds no event; leave it out"):
        frames_of(*[[good, good[:0]]] * 4, sensor=(2, 2), num_frames=1)
    with pytest.raises(ValueError, match="p is one recording's and the others are several"):
        frames_of([good], [good], [good], good, sensor=(2, 2), num_frames=1)
    with pytest.raises(ValueError, match=r"x, y, t and p are of \[2, 1, 1, 1\] recordings"):
        frames_of([good] * 2, [good], [good], [good], sensor=(2, 2), num_frames=1)


@pytest.mark.parametrize("sensor", [34, (34,), (0, 3), (2.5, 3), (34, 34, 2)])
def test_a_sensor_is_two_sides(sensor):
    with pytest.raises(ValueError, match=r"sensor=.* must be \(height, width\) in pixels"):
        frames_of([0], [0], [0], [0], sensor=sensor, num_frames=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_events": 4}, "own.bin: 3 events, and the recording says 4; correct num_events"),
        ({"last_time": 1}, "events from 1 to 2 µs, and the recording says from 1 to 1 µs"),
        ({"first_time": 2}, "events from 1 to 2 µs, and the recording says from 2 to 2 µs"),
    ],
)
def test_a_recording_that_contradicts_itself_is_refused(changes, message):
    for read in (load_events, lambda recording: integrate(recording, 2, slicing="equal-time")):
        with pytest.raises(DataError, match=message):
            read(unchecked(own(), **changes))


def test_a_recording_that_ends_before_it_begins_is_refused():
    with pytest.raises(DataError, match=r"own\.bin lasts 0 µs, which no recording does"):
        integrate(unchecked(own(), last_time=0), 2, slicing="equal-time")


def test_order_is_checked_across_pieces():
    with pytest.raises(DataError, match=r"own\.bin, event 2: event at 1 µs follows one at 3 µs"):
        load_events(unchecked(own(time=np.array([1, 3, 1]))))


def test_late_events_are_put_where_they_belong_in_a_stable_order():
    time = np.array([10, 30, 20, 20, 40])
    recording = Recording("r", (1, 9), 5, 10, 40, [Events(time, np.arange(5), np.zeros(5, int), np.ones(5, bool))])
    events, late = load_in_order(recording, late=10)
    assert late == 2
    assert events.time.tolist() == [10, 20, 20, 30, 40]
    assert events.x.tolist() == [0, 2, 3, 1, 4]
    with pytest.raises(DataError, match=r"r, event 2: event at 20 µs follows .* 30 µs.* only up to 9 µs are put"):
        load_in_order(recording, late=9)
    with pytest.raises(DataError, match="must be in the order of time"):
        load_events(recording)
    in_order, none = load_in_order(recording_of(events, (1, 9)))
    assert none == 0
    np.testing.assert_array_equal(in_order.time, events.time)
