import numpy as np
import pytest

from hdlif_jax.data import Dataset, Split, digits, hold_out, stratified


def make_dataset(inputs=None, labels=None, **changes):
    inputs = np.zeros((6, 4, 4, 1), np.uint8) if inputs is None else inputs
    labels = np.arange(6, dtype=np.int32) % 3 if labels is None else labels
    fields = {"class_names": ("a", "b", "c"), "mean": (0.0,), "std": (1.0,), "test": Split(inputs, labels)} | changes
    return Dataset(name="toy", train=Split(inputs, labels), **fields)


def part(shape=(3, 4, 4, 1), labels=(0, 1, 2), dtype=np.uint8):
    return Split(np.zeros(shape, dtype), np.array(labels, np.int32))


def test_shape_and_classes():
    dataset = make_dataset()
    assert dataset.input_shape == (4, 4, 1)
    assert dataset.num_classes == 3
    assert make_dataset(np.zeros((6, 5, 4, 4, 2), np.uint8), mean=(0.0, 0.0), std=(1.0, 1.0)).input_shape == (4, 4, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros((6, 4, 4, 1))}, r"inputs are float64 .*Dataset\.from_arrays takes all floats"),
        ({"inputs": np.full((6, 4, 4, 1), np.inf, np.float32)}, "example 0 holds what is not finite"),
        ({"inputs": np.zeros((6, 4, 4), np.uint8)}, r"of shape \(6, 4, 4\)"),
        ({"inputs": np.zeros((6, 4, 4, 3), np.uint8)}, r"3 channels but mean=\(0.0,\) and std=\(1.0,\)"),
        ({"labels": np.zeros(5, np.int32)}, r"expected integers \(6,\)"),
        ({"labels": np.zeros(6)}, "labels are float64"),
        ({"labels": np.int32([0, 1, 2, 3, 0, 0])}, "label 3 of example 3 is outside 0…2"),
        ({"labels": np.int32([0, -1, 2, 1, 0, 0])}, "label -1 of example 1 is outside 0…2"),
        ({"test": part(labels=[0, 0, 3])}, "toy, test split: label 3 of example 2 is outside 0…2"),
        ({"test": part((3, 5, 4, 1))}, r"uint8 of shape \(4, 4, 1\) in the train split and uint8 of shape \(5, 4, 1\)"),
        ({"test": part((3, 2, 4, 4, 1))}, r"\(4, 4, 1\) in the train split and uint8 of shape \(2, 4, 4, 1\)"),
        ({"test": part(dtype=np.float32)}, "uint8 of .* in the train split and float32 of"),
        ({"test": part((0, 4, 4, 1), labels=[])}, "toy, test split has no examples"),
        ({"mean": (0.0, 0.0)}, r"1 channels but mean=\(0.0, 0.0\) and std=\(1.0,\)"),
        ({"std": (0.0,)}, "must be finite, and std above 0"),
        ({"mean": (np.nan,)}, "must be finite"),
        ({"class_names": "abc"}, "class_names are 'abc'; expected a sequence"),
        ({"mean": 0.5}, "1 channels but mean=0.5"),
        ({"class_names": ()}, "expected a sequence"),
    ],
)
def test_bad_data(changes, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(**changes)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (None, "test split: NoneType is no Split of arrays and no Records of files"),
        ((np.zeros((6, 4, 4, 1)), np.zeros(6)), "test split: tuple is no Split"),
        (Split([[1]], np.zeros(1, int)), "inputs are a list; expected an array; Dataset.from_arrays takes lists"),
        (Split(np.zeros((6, 4, 4, 1), np.uint8), [0]), "labels are a list; expected an array"),
    ],
)
def test_what_is_no_data(test, message):
    with pytest.raises(TypeError, match=message):
        make_dataset(test=test)


def test_hold_out_is_stratified_disjoint_and_always_the_same():
    labels = np.repeat(np.arange(4), [10, 20, 30, 40]).astype(np.int32)
    split = Split(np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1), labels)
    rest, held = hold_out(split, 0.2)
    np.testing.assert_array_equal(np.bincount(held.labels), [2, 4, 6, 8])
    np.testing.assert_array_equal(np.sort(np.concatenate([rest.inputs, held.inputs]).ravel()), np.arange(100))
    np.testing.assert_array_equal(hold_out(split, 0.2)[1].inputs, held.inputs)
    assert not np.array_equal(hold_out(split, 0.2, seed=1)[1].inputs, held.inputs)


@pytest.mark.parametrize("count", [1, 7, 33, 99, 100, 101])
def test_a_few_examples_have_of_each_class_its_share(count):
    """Floor or ceiling of it, for classes of 50, 30, 19 and 1, whatever order they are stored in."""
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(4, dtype=np.int32), (50, 30, 19, 1)))
    split = Split(np.arange(100, dtype=np.uint8), labels)
    few = stratified(split, count)
    assert len(few.labels) == min(count, 100)
    assert (np.diff(few.inputs.astype(int)) > 0).all()  # no example twice, in the order in which they are read
    np.testing.assert_array_equal(few.labels, labels[few.inputs])
    share = np.bincount(labels) * min(count, 100) / 100
    assert (np.abs(np.bincount(few.labels, minlength=4) - share) < 1).all()
    assert (stratified(split, count) is split) == (count >= 100)


def test_hold_out_nothing():
    dataset = digits()
    rest, held = hold_out(dataset.train, 0.0)
    assert (len(rest.labels), len(held.labels)) == (len(dataset.train.labels), 0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=rf"fraction={fraction} must be in \[0, 1\)"):
        hold_out(digits().train, fraction)
