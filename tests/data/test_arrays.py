"""Your own arrays as a dataset."""

import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.data import Dataset, Split

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(20) % 4


def test_levels_stay_and_statistics_are_those_of_the_training_images():
    dataset = Dataset.from_arrays(LEVELS, LABELS, test_images=LEVELS[:5], test_labels=LABELS[:5], name="own")
    assert (dataset.name, dataset.class_names, dataset.input_shape) == ("own", ("0", "1", "2", "3"), (6, 5, 3))
    assert dataset.train.inputs is LEVELS or np.shares_memory(dataset.train.inputs, LEVELS)
    np.testing.assert_array_equal(dataset.test.labels, LABELS[:5])
    assert dataset.train.labels.dtype == np.int32
    np.testing.assert_allclose(dataset.mean, (LEVELS / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, (LEVELS / 255).std((0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
def test_floats_stay_in_their_unit(dtype):
    images = (RNG.normal(100, 0.5, LEVELS.shape)).astype(dtype)
    dataset = Dataset.from_arrays(images, LABELS, test_images=images[:4], test_labels=LABELS[:4])
    np.testing.assert_array_equal(dataset.train.inputs, images.astype(np.float32))
    assert dataset.train.inputs.dtype == dataset.test.dtype == np.float32
    np.testing.assert_allclose(dataset.mean, images.astype(np.float64).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, images.astype(np.float32).astype(np.float64).std((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
def test_other_integers_become_levels(dtype):
    images = (LEVELS // 3).astype(dtype)
    dataset = Dataset.from_arrays(images, LABELS, test_images=images, test_labels=LABELS)
    assert dataset.train.dtype == np.uint8
    np.testing.assert_array_equal(dataset.train.inputs, images)


def test_true_is_full_intensity():
    images = RNG.random((20, 4, 4)) < 0.5
    dataset = Dataset.from_arrays(images, LABELS, test_images=images, test_labels=LABELS)
    np.testing.assert_array_equal(dataset.train.inputs[..., 0], np.where(images, 255, 0))


@pytest.mark.parametrize(
    ("layout", "moved"),
    [
        ("NCHW", lambda images: images.transpose(0, 3, 1, 2)),
        ("HWCN", lambda images: images.transpose(1, 2, 3, 0)),
        ("NWHC", lambda images: images.transpose(0, 2, 1, 3)),
    ],
)
def test_layouts_of_images(layout, moved):
    images = moved(LEVELS)
    dataset = Dataset.from_arrays(images, LABELS, test_images=images, test_labels=LABELS, layout=layout)
    np.testing.assert_array_equal(dataset.train.inputs, LEVELS)


def test_layouts_of_frames_and_of_one_channel():
    frames = RNG.integers(0, 9, (20, 7, 6, 5, 2), dtype=np.uint8)
    for layout, images in (
        (None, frames),
        ("TNCHW", frames.transpose(1, 0, 4, 2, 3)),
        ("NTCHW", frames.transpose(0, 1, 4, 2, 3)),
    ):
        dataset = Dataset.from_arrays(images, LABELS, layout=layout)
        assert dataset.train.shape[1:] == (7, 6, 5, 2)
        assert dataset.train.inputs.sum() + dataset.test.inputs.sum() == frames.sum()
    dataset = Dataset.from_arrays(frames[..., 0], LABELS, layout="NTHW")
    assert dataset.train.shape[1:] == (7, 6, 5, 1)
    assert Dataset.from_arrays(LEVELS[..., 0], LABELS).train.shape[1:] == (6, 5, 1)


def test_a_share_of_every_class_is_held_out():
    images = np.arange(200, dtype=np.uint8).reshape(200, 1, 1)
    labels = np.arange(200) % 4
    for options, size in (({}, 10), ({"test_fraction": 0.5}, 25)):
        dataset = Dataset.from_arrays(images, labels, **options)
        np.testing.assert_array_equal(np.bincount(dataset.test.labels), size)
        together = np.concatenate([dataset.train.inputs, dataset.test.inputs]).ravel()
        np.testing.assert_array_equal(np.sort(together), np.arange(200))
        np.testing.assert_array_equal(dataset.train.inputs.ravel() % 4, dataset.train.labels)
    first, again = (Dataset.from_arrays(images, labels).test.inputs for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, Dataset.from_arrays(images, labels, seed=1).test.inputs)


@pytest.mark.parametrize(
    "labels",
    [LABELS.tolist(), LABELS.astype(np.uint8), LABELS.astype(np.int64), LABELS[:, None], jnp.asarray(LABELS)],
)
def test_labels_of_any_integer_type(labels):
    dataset = Dataset.from_arrays(LEVELS, labels, test_images=LEVELS, test_labels=labels)
    assert dataset.train.labels.dtype == np.int32
    np.testing.assert_array_equal(dataset.train.labels, LABELS)


def test_a_channel_of_one_value_becomes_zeros():
    dataset = Dataset.from_arrays(np.full((4, 2, 2), 0.3), [0, 1, 0, 1], test_fraction=0.5)
    assert dataset.mean == pytest.approx((0.3,), rel=1e-6)
    assert dataset.std == (1.0,)


def test_statistics_far_from_zero_keep_their_digits():
    images = 1e5 + RNG.normal(0, 1, (3000, 2, 2))
    dataset = Dataset.from_arrays(images, np.zeros(3000, int), test_images=images, test_labels=np.zeros(3000, int))
    np.testing.assert_allclose(dataset.std, images.astype(np.float32).astype(np.float64).std(), rtol=1e-9)


NAN = np.where(np.arange(20)[:, None, None] == 7, np.nan, np.zeros((20, 2, 2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": LEVELS.transpose(0, 3, 1, 2)}, r"last axis is too long for channels; .* layout='NCHW' for"),
        ({"images": np.zeros((20, 7, 2, 9, 9))}, "layout='NTCHW' for channels first"),
        ({"images": np.zeros((20, 8))}, r"shape \(20, 8\); expected images .* training\.start"),
        ({"images": LEVELS.astype(int) * 2}, r"int64 from 0 to 510; expected integers between 0 and 255, or floats"),
        ({"images": LEVELS.astype(int) - 9}, "int64 from -9 to"),
        ({"images": LEVELS.astype(complex)}, "inputs are complex128; expected"),
        ({"images": LEVELS, "layout": "NHW"}, "layout='NHW' names 3 axes"),
        ({"images": LEVELS, "layout": "NHWK"}, "layout='NHWK' must name each axis once"),
        ({"images": LEVELS, "layout": "NCCW"}, "layout='NCCW' must name each axis once"),
        ({"images": NAN}, r"example \d+ holds what is not finite"),
        ({"images": LEVELS[:9]}, "20 labels for 9 inputs"),
        ({"labels": LABELS / 1}, r"labels are float64 .*: labels\.astype"),
        ({"labels": np.eye(4)[LABELS]}, r"one-hot code, labels\.argmax"),
        ({"labels": LABELS.astype(str)}, r"class_names, labels = np\.unique\(labels, return_inverse=True\)"),
        ({"images": [np.zeros((3, 3)), np.zeros((4, 4))]}, "inputs of several shapes; bring all examples to one"),
        ({"images": np.ma.masked_array(LEVELS, LEVELS > 9)}, r"a masked array; .* images\.filled"),
        ({"labels": LABELS + 1}, r"labels go up to 4 and none is 0; classes are numbered from 0 without a gap"),
        ({"labels": 2 * LABELS}, "labels go up to 6 and none is 1"),
        ({"test_fraction": "a"}, "fraction='a' must be a number"),
        ({"labels": LABELS - 1}, "label -1 of example 0 is no class"),
        ({"class_names": ["a", "b", "c"]}, "label 3 of example .* is outside 0…2"),
        ({"class_names": "abcd"}, "class_names are 'abcd'; expected a sequence"),
        ({"class_names": "aabc"}, "expected a sequence with a name per class"),
        ({"class_names": ["a", "a", "b", "c"]}, "class_names name 'a' twice; expected a different one per class"),
        ({"test_images": LEVELS}, "test_images and test_labels belong together"),
        ({"test_labels": LABELS}, "test_images and test_labels belong together"),
        ({"test_images": LEVELS, "test_labels": LABELS, "test_fraction": 0.1}, "are two test sets; give one"),
        ({"test_images": LEVELS, "test_labels": LABELS[:-1]}, "test split: 19 labels for 20 inputs"),
        ({"test_images": LEVELS[:, :5], "test_labels": LABELS}, r"shape \(6, 5, 3\) in the train .*\(5, 5, 3\) in the"),
        ({"test_images": LEVELS / 255, "test_labels": LABELS}, "uint8 of .* in the train split and float32 of"),
        ({"test_images": LEVELS[:0], "test_labels": LABELS[:0]}, "test split has no examples"),
        ({"test_fraction": 0.0}, "test_fraction=0.0 of each class is no example"),
        ({"test_fraction": 1.0}, "fraction=1.0 must be in"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused_with_the_way(changes, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        Dataset.from_arrays(**({"images": LEVELS, "labels": LABELS} | changes))
    assert "\n" not in str(caught.value)


def test_empty_arrays_are_refused():
    with pytest.raises(ValueError, match="no example"):
        Dataset.from_arrays(LEVELS[:0], LABELS[:0])


def test_data_shows_itself_in_a_line_and_a_table():
    dataset = Dataset.from_arrays(LEVELS, LABELS, class_names=["<a>", "b", "c", "d"], name="own")
    assert repr(dataset) == "Dataset('own': 4 classes, 6×5×3 uint8, 16 train and 4 test examples)"
    assert repr(dataset.train) == "Split(inputs: uint8[16, 6, 5, 3], labels: int32[16])"
    assert repr(Split(None, [1])) == "Split(inputs: None, labels: [1])"
    for text in (dataset._repr_html_(), dataset.train._repr_html_()):
        assert text.startswith("<table>")
        assert text.count("<tr>") == text.count("</tr>") == 3
    assert "classes 4: &lt;a&gt;, b, c, d" in dataset._repr_html_()
    frames = Dataset.from_arrays(np.zeros((8, 7, 6, 5, 2)), np.arange(8) % 2, test_fraction=0.25)
    assert "7 frames of 6×5×2 float32" in repr(frames)
