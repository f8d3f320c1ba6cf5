"""What a run keeps of its data."""

import json

import numpy as np
import pytest

from hdlif_jax.data import Dataset, DatasetInfo, InputSpec

GENERATOR = np.random.default_rng(0)
FRAMES = Dataset.from_arrays(GENERATOR.integers(0, 9, (20, 3, 6, 5, 2)), np.arange(20) % 4, class_names=tuple("abcd"))
GOOD = DatasetInfo.of(FRAMES).to_dict()


def test_all_that_is_to_be_known_survives_json_exactly():
    info = DatasetInfo.of(FRAMES)
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info
    assert (info.mean, info.std, info.class_names) == (FRAMES.mean, FRAMES.std, ("a", "b", "c", "d"))
    assert info.spec == InputSpec((6, 5, 2), 4, is_sequence=True)
    assert (info.num_train, info.num_test, info.dtype) == (16, 4, "uint8")


def test_other_data_gets_the_statistics_of_the_first():
    info = DatasetInfo.of(FRAMES)
    brighter = Dataset.from_arrays(200 + FRAMES.train.inputs, FRAMES.train.labels, class_names=tuple("abcd"))
    applied = info.applied_to(brighter)
    assert (applied.mean, applied.std) == (FRAMES.mean, FRAMES.std)
    np.testing.assert_array_equal(applied.train.inputs, brighter.train.inputs)
    info.check_same(FRAMES)
    with pytest.raises(ValueError, match="arrays has 12 train and 4 test examples and had 16 and 4"):
        info.check_same(brighter)


WRONG = {
    "no object": 3,
    "a field missing": {name: value for name, value in GOOD.items() if name != "std"},
    "a field too many": GOOD | {"colour": 1},
    "no list": GOOD | {"mean": 0.5},
    "a text for a list": GOOD | {"class_names": "abcd"},
    "another rank": GOOD | {"example_shape": [6, 5]},
    "a side of none": GOOD | {"example_shape": [6, 0, 2]},
    "another type": GOOD | {"dtype": "int64"},
    "no classes": GOOD | {"class_names": []},
    "classes without names": GOOD | {"class_names": [1, 2]},
    "another number of channels": GOOD | {"std": [0.1]},
    "not finite": GOOD | {"std": [float("nan"), 0.1]},
    "a deviation of none": GOOD | {"std": [0.0, 0.1]},
    "a text for a number": GOOD | {"mean": ["0.1", 0.1]},
    "no examples": GOOD | {"num_train": 0},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_does_not_write_is_refused(name):
    with pytest.raises(ValueError, match="the dataset's entry is ") as caught:
        DatasetInfo.from_dict(WRONG[name])
    assert "\n" not in str(caught.value)
