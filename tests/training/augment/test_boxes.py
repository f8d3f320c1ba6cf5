import math

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from hdlif_jax.training import Augmentation, augment, make_preprocess
from hdlif_jax.training.augment import boxes

IMAGES = np.random.default_rng(0).integers(1, 256, (6, 9, 12, 3), dtype=np.uint8)


def test_erasing_equals_numpy():
    places = np.array([[0, 0, 3, 4], [5, 6, 4, 6], [0, 0, 9, 12], [2, 3, 1, 1], [8, 0, 1, 12], [1, 1, 2, 2]], np.int32)
    levels = np.array([0, 10, 254, 7, 99, 1], np.int32)
    chosen = np.array([True, True, True, True, True, False])
    expected = IMAGES.copy()
    for image, (top, left, height, width), level in zip(expected[:5], places[:5], levels[:5], strict=True):
        image[top : top + height, left : left + width] = level
    erased = boxes.erase_at(IMAGES, places, levels, chosen)
    assert erased.dtype == jnp.uint8
    np.testing.assert_array_equal(erased, expected)


def test_boxes_that_are_erased_have_their_distribution(key):
    """Of areas and shapes, anywhere, one grey in each; seen on images of a level that is no grey of theirs."""
    count, size = 2000, 40
    erased = np.asarray(augment.random_erasing(key, np.full((count, size, size, 1), 255, np.uint8), 0.75))[..., 0]
    holes = erased != 255
    happened = holes.any((1, 2))
    assert abs(happened.mean() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / count)
    heights, widths = holes.any(2).sum(1)[happened], holes.any(1).sum(1)[happened]
    np.testing.assert_array_equal(holes.sum((1, 2))[happened], heights * widths)  # rectangles
    greys = np.array([np.unique(image[hole]) for image, hole in zip(erased[happened], holes[happened], strict=True)])
    assert greys.shape == (len(heights), 1)
    assert greys.min() < 5
    assert 249 < greys.max() <= 254
    assert abs(greys.mean() - 127) < 5 * 74 / math.sqrt(len(greys))
    share, aspect = heights * widths / size**2, heights / widths
    assert share.max() <= 0.4
    assert abs(share.mean() - 0.21) < 0.02  # sides are rounded down
    big = np.minimum(heights, widths) >= 8  # small ones are of few shapes
    assert np.all((aspect[big] > 0.34) & (aspect[big] < 2.9))
    tops = holes.any(2).argmax(1)[happened]
    assert abs(np.mean(tops / np.maximum(size - heights, 1)) - 0.5) < 0.05


@pytest.mark.parametrize(
    "box", [(0, 0, 9, 12), (2, 3, 4, 5), (8, 11, 1, 1), (0, 7, 9, 2), (1, 0, 7, 11), (3, 5, 1, 7)], ids=str
)
def test_resized_crops_equal_pil(box):
    top, left, height, width = box
    expected = [
        np.asarray(
            Image.fromarray(image)
            .crop((left, top, left + width, top + height))
            .resize((12, 9), Image.Resampling.BILINEAR)
        )
        for image in IMAGES
    ]
    cropped = boxes.resized_crop_at(IMAGES, np.tile(np.int32(box), (6, 1)))
    assert cropped.dtype == jnp.uint8
    np.testing.assert_array_equal(cropped, expected)


def test_resized_crops_of_floats_are_bilinear():
    """Against interpolation by numpy, axis by axis, held at the edges of the box."""
    images = np.random.default_rng(1).normal(size=(2, 9, 12, 2)).astype(np.float32)
    top, left, height, width = box = (2, 3, 4, 5)
    cropped = np.asarray(boxes.resized_crop_at(images, np.tile(np.int32(box), (2, 1))))
    rows = (np.arange(9) + 0.5) * height / 9 - 0.5
    columns = (np.arange(12) + 0.5) * width / 12 - 0.5
    for image, found in zip(images, cropped, strict=True):
        for channel in range(2):
            cut = image[top : top + height, left : left + width, channel]
            wide = np.stack([np.interp(columns, np.arange(width), row) for row in cut])
            expected = np.stack([np.interp(rows, np.arange(height), column) for column in wide.T], 1)
            np.testing.assert_allclose(found[..., channel], expected, atol=1e-5)


def test_boxes_that_are_enlarged_have_the_drawn_distribution(key):
    top, left, height, width = np.asarray(boxes.crop_boxes(key, 4000, 400, 400)).T
    assert np.all((top >= 0) & (left >= 0) & (top + height <= 400) & (left + width <= 400))
    share = height * width / 400**2
    assert share.min() >= 0.079
    assert abs(share[share < 0.7].mean() - (0.08 + 0.7) / 2) < 0.02  # uniform where every shape fits
    ratio = np.log(width / height)
    assert np.all(np.abs(ratio) <= math.log(4 / 3) + 0.02)
    assert abs(ratio.mean()) < 0.01
    slack = 400 - width > 0
    assert abs(np.mean(left[slack] / (400 - width[slack])) - 0.5) < 0.02


@pytest.mark.parametrize(("shape", "box"), [((10, 100), (0, 43, 10, 13)), ((100, 10), (43, 0, 13, 10))])
def test_an_image_that_no_box_fits_gives_its_largest_centre(shape, box, key, monkeypatch):
    monkeypatch.setattr(boxes, "SCALE", (0.99, 1.0))
    np.testing.assert_array_equal(boxes.crop_boxes(key, 5, *shape), np.tile(box, (5, 1)))


def test_both_reach_training_and_leave_its_other_draws_alone(key):
    def preprocess(**options):
        run = make_preprocess((0.5,) * 3, (0.25,) * 3, 3, augmentation=Augmentation(crop_padding=1, **options))
        return np.asarray(run(key, IMAGES, np.zeros(6, np.int32))[0])

    plain = preprocess()
    erased = preprocess(erasing=1.0)
    kept = np.isclose(erased, plain).all(-1)
    assert np.all((kept.mean((1, 2)) > 0.5) & (kept.mean((1, 2)) < 1))
    assert np.any(preprocess(resized_crop=True) != plain)
    assert preprocess(resized_crop=True).shape == plain.shape


def test_erasing_floats_is_refused(key):
    with pytest.raises(ValueError, match="erasing draws a grey of uint8 levels and the images are float32"):
        augment.random_erasing(key, np.zeros((2, 4, 4, 1), np.float32))
