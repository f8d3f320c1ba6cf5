import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from hdlif_jax.training import augment
from hdlif_jax.training.augment import geometry

IMAGES = np.random.default_rng(0).integers(1, 256, (6, 9, 11, 3), dtype=np.uint8)
MANY = np.ones((4000, 6, 6, 1), np.uint8)


def pil(image, operation):
    return np.asarray(operation(Image.fromarray(image)))


def test_crop_equals_numpy():
    corners = np.random.default_rng(1).integers(0, 7, (6, 2), dtype=np.int32)
    padded = np.pad(IMAGES, ((0, 0), (3, 3), (3, 3), (0, 0)))
    expected = [image[top : top + 9, left : left + 11] for image, (top, left) in zip(padded, corners, strict=True)]
    np.testing.assert_array_equal(geometry.crop_at(IMAGES, corners, 3), expected)


def test_crops_are_uniform(key):
    marked = np.zeros((4000, 5, 5, 1), np.uint8)
    marked[:, 2, 2] = 1
    moved = np.asarray(augment.random_crop(key, marked, 2))
    counts = moved.sum((0, 3)).astype(int)  # where the marked pixel went
    assert counts.sum() == 4000
    assert np.all(np.abs(counts - 160) < 5 * np.sqrt(160))


def test_flip_equals_numpy_and_happens_half_of_the_time(key):
    chosen = np.array([True, False, True, True, False, False])
    expected = np.where(chosen[:, None, None, None], IMAGES[:, :, ::-1], IMAGES)
    np.testing.assert_array_equal(geometry.flip_where(IMAGES, chosen), expected)
    marked = MANY * np.arange(6, dtype=np.uint8)[None, None, :, None]
    flipped = np.asarray(augment.random_horizontal_flip(key, marked))[:, 0, 0, 0] == 5
    assert abs(flipped.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)


def test_roll_equals_numpy_and_is_uniform(key):
    shifts = np.array([[0, 0], [1, 0], [0, -2], [3, 3], [-4, 1], [2, -5]], np.int32)
    expected = [np.roll(image, shift, (0, 1)) for image, shift in zip(IMAGES, shifts, strict=True)]
    np.testing.assert_array_equal(geometry.roll_by(IMAGES, shifts), expected)
    marked = np.zeros((4000, 7, 7, 1), np.uint8)
    marked[:, 3, 3] = 1
    counts = np.asarray(augment.random_roll(key, marked, 2)).sum((0, 3)).astype(int)
    assert np.all(np.abs(counts[1:6, 1:6] - 160) < 5 * np.sqrt(160))
    assert counts[1:6, 1:6].sum() == 4000


@pytest.mark.parametrize("length", [4, 5])
def test_cutout_equals_numpy(length):
    centers = np.array([[0, 0], [4, 5], [8, 10], [0, 10], [2, 2], [7, 1]], np.int32)
    expected = IMAGES.copy()
    for image, (row, column) in zip(expected, centers, strict=True):
        half = length // 2
        image[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
    np.testing.assert_array_equal(geometry.cutout_at(IMAGES, centers, length), expected)


def test_cutout_centres_are_uniform(key):
    holes = np.asarray(augment.cutout(key, MANY, 2))[..., 0] == 0
    # A side of 2 covers the centre and the pixel before it, so the last pixel of a hole is its centre.
    rows = 5 - holes.any(2)[:, ::-1].argmax(1)
    columns = 5 - holes.any(1)[:, ::-1].argmax(1)
    counts = np.histogram2d(rows, columns, bins=(range(7), range(7)))[0]
    assert np.all(np.abs(counts - 4000 / 36) < 5 * np.sqrt(4000 / 36))


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 0, 1, 0),
        (1, 0, -3, 0, 1, 2),
        (1, 0.3, 0, 0, 1, 0),
        (1, 0, 0, -0.2, 1, 0),
        (0.9, 0.1, -1.5, -0.2, 1.1, 2.25),
    ],
)
def test_affine_equals_pil(matrix):
    coefficients = np.tile(geometry.fixed_point(np.array(matrix)), (6, 1))
    expected = [
        pil(image, lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)) for image in IMAGES
    ]
    np.testing.assert_array_equal(geometry.affine(IMAGES, coefficients), expected)


def test_rotation_equals_pil():
    angles = np.array([-30, -11.5, 1e-3, 15, 45, 170], np.float32)
    moved = np.asarray(geometry.affine(IMAGES, geometry.rotation(angles, 9, 11)))
    expected = [
        pil(image, lambda image, angle=angle: image.rotate(float(angle)))
        for image, angle in zip(IMAGES, angles, strict=True)
    ]
    assert np.mean(np.any(moved != expected, -1)) < 0.01  # single precision at the border between two pixels


def test_angles_are_uniform(key):
    # The pixel right of the centre of a large ring tells the angle.
    size, radius = 101, 45
    rows, columns = np.mgrid[:size, :size] - size // 2
    angle_of = np.degrees(np.arctan2(-rows, columns))
    ring = np.abs(np.hypot(rows, columns) - radius) < 2
    image = np.where(ring & (np.abs(angle_of) < 2.5), 255, 0).astype(np.uint8)[None, :, :, None]
    moved = np.asarray(augment.random_rotation(key, np.tile(image, (200, 1, 1, 1)), 20.0))[..., 0]
    angles = np.array([np.average(angle_of, weights=one) for one in moved])
    assert np.all(np.abs(angles) < 21)
    assert abs(angles.mean()) < 5 * 40 / np.sqrt(12 * 200)
    assert abs(angles.std() - 40 / np.sqrt(12)) < 0.1 * 40 / np.sqrt(12)


def test_images_get_different_draws(key):
    moved = jax.jit(lambda images: augment.random_crop(key, images, 3))(jnp.asarray(np.tile(IMAGES[:1], (6, 1, 1, 1))))
    assert len({image.tobytes() for image in np.asarray(moved)}) > 3
