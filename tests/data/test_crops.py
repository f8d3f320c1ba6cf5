import math

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data.crops import center_crop, random_resized_crop_box, resized_crop


def test_boxes_have_the_drawn_distribution():
    generator = np.random.default_rng(0)
    boxes = np.array([random_resized_crop_box(400, 400, generator) for _ in range(4000)])
    top, left, height, width = boxes.T
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
def test_an_image_that_no_box_fits_gives_its_largest_centre(shape, box):
    generator = np.random.default_rng(0)
    boxes = {random_resized_crop_box(*shape, generator, scale=(0.99, 1.0)) for _ in range(20)}
    assert boxes == {box}


def test_crop_equals_pil():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = Image.fromarray(image).crop((7, 5, 47, 35)).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resized_crop(image, (5, 7, 30, 40), 16), np.asarray(expected))


def test_centre_crop_equals_resize_256_and_crop_224():
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    resized = Image.fromarray(image).resize((341, 256), Image.Resampling.BILINEAR)
    expected = resized.crop((58, 16, 58 + 224, 16 + 224))
    np.testing.assert_array_equal(center_crop(image, 224), np.asarray(expected))
