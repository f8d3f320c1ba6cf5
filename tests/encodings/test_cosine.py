"""The DCT code: against numpy, and by what a transform and an accumulator must do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import encodings, training
from hdlif_jax.training.sharding import batch_sharding, make_mesh, place
from tests.training.trainers import make_dataset, make_trainer


def images_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_frequencies_are_an_orthonormal_basis(block):
    matrix = encodings.dct_matrix(block)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(block), atol=1e-14)
    np.testing.assert_allclose(matrix[0], block**-0.5)


def test_the_order_is_that_of_jpeg():
    rows = "01 02 06 07 15 16 28 29|03 05 08 14 17 27 30 43|04 09 13 18 26 31 42 44|10 12 19 25 32 41 45 54"
    rows += "|11 20 24 33 40 46 53 55|21 23 34 39 47 52 56 61|22 35 38 48 51 57 60 62|36 37 49 50 58 59 63 64"
    places = np.array([[int(number) for number in row.split()] for row in rows.split("|")])  # ITU-T T.81, figure A.6
    for block in (4, 8):
        ranks = np.zeros((block, block), int)
        ranks[tuple(encodings.zigzag(block).T)] = np.arange(block**2)
        if block == 8:
            np.testing.assert_array_equal(ranks, places - 1)
        else:
            np.testing.assert_array_equal(ranks, [[0, 1, 5, 6], [2, 4, 7, 12], [3, 8, 11, 13], [9, 10, 14, 15]])


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 16, 8, 1), (2, 6, 9, 2)], ids=str)
@pytest.mark.parametrize("block", [4, 8])
def test_slices_sum_to_the_image(shape, block):
    images = images_of(shape)
    slices = jax.jit(encodings.dct_slices, static_argnums=1)(images, block)
    assert slices.shape == (block**2, *shape)
    np.testing.assert_allclose(slices.sum(0), images, atol=2e-6)


def test_a_slice_is_a_coefficient_times_its_basis_image():
    block, images = 4, images_of((1, 8, 12, 2))
    slices, matrix = np.asarray(encodings.dct_slices(images, block)), encodings.dct_matrix(block)
    for row, column, channel in ((0, 0, 0), (1, 2, 1)):
        window = np.s_[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4, channel]
        coefficients = matrix @ images[window] @ matrix.T
        for k, (u, v) in enumerate(encodings.zigzag(block)):
            expected = coefficients[u, v] * np.outer(matrix[u], matrix[v])
            np.testing.assert_allclose(slices[k][window], expected, atol=1e-6)


def test_grey_has_no_colour_and_the_primaries_are_those_of_bt_601():
    grey = np.repeat(images_of((2, 3, 3, 1)), 3, -1)
    luma, blue, red = np.moveaxis(np.asarray(encodings.to_ycbcr(grey)), -1, 0)
    np.testing.assert_allclose(luma, grey[..., 0], atol=1e-6)
    np.testing.assert_allclose(np.stack([blue, red]), 128 / 255, atol=1e-6)
    primaries = 255 * np.asarray(encodings.to_ycbcr(jnp.eye(3)))  # red, green, blue
    expected = [[76.245, 84.97232, 255.5], [149.685, 43.52768, 21.23456], [29.07, 255.5, 107.26544]]
    np.testing.assert_allclose(primaries, expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(3, 8, 8, 3), (2, 8, 8, 1), (2, 6, 9, 2)], ids=str)
def test_spikes_are_those_of_an_accumulator_in_numpy(shape, key):
    num_steps, images = 21, images_of(shape)
    spikes = np.asarray(jax.jit(encodings.dct(num_steps))(key, images))
    seen = encodings.to_ycbcr(images) if shape[-1] == 3 else images
    slices = np.asarray(encodings.dct_slices(seen))
    low, high = np.percentile(slices, [6.5, 93.5])
    total = np.zeros(shape)
    for t in range(num_steps):
        total += slices[t % 16]
        expected = (total > high) * 1.0 - (total < low)
        margin = np.minimum(abs(total - high), abs(total - low)) > 1e-5
        np.testing.assert_array_equal(spikes[t][margin], expected[margin])
        assert margin.mean() > 0.9  # a percentile may be the mean of a whole block
        total -= np.where(spikes[t] > 0, high, 0) + np.where(spikes[t] < 0, low, 0)


def test_what_has_not_been_fired_stays_in_the_sum(key):
    """After all frequencies, spikes times their thresholds and the rest are the image."""
    images = images_of((2, 8, 8, 1))
    low, high = encodings.dct_thresholds(encodings.dct_slices(images))
    spikes = encodings.dct(16)(key, images)
    fired = jnp.where(spikes > 0, high, 0).sum(0) + jnp.where(spikes < 0, low, 0).sum(0)
    rest = images - fired  # of the last sum, which may hold more than a threshold where much came at once
    assert float(jnp.abs(rest).max()) < float(jnp.abs(images).max())
    assert set(np.unique(spikes)) == {-1.0, 0.0, 1.0}


def test_a_sum_at_its_threshold_does_not_fire(key):
    """Blocks of one pixel have one frequency: the image itself, of which the thresholds are percentiles."""
    images = jnp.asarray([-1.0, 0.0, 1.0, 2.0]).reshape(1, 2, 2, 1)
    spikes = encodings.dct(2, block=1, percentile=0.0)(key, images)
    np.testing.assert_array_equal(spikes.reshape(2, 4), [[0, 0, 0, 0], [-1, 0, 0, 1]])


def test_the_key_changes_nothing():
    images = images_of((2, 8, 8, 3))
    first, other = (encodings.dct(4)(jax.random.key(seed), images) for seed in (0, 1))
    np.testing.assert_array_equal(first, other)


def test_thresholds_are_those_of_the_whole_batch_on_any_number_of_devices(key):
    images = images_of((8, 8, 8, 3)) * np.arange(1, 9, dtype=np.float32)[:, None, None, None]  # unlike each other
    rows = batch_sharding(make_mesh())
    assert len(place(images, rows).sharding.device_set) == 4
    code = jax.jit(encodings.dct(18))
    np.testing.assert_array_equal(code(key, place(images, rows)), code(key, images))
    assert np.any(np.asarray(code(key, images))[:, :2] != code(key, images[:2]))


def test_training_hands_it_normalised_inputs(key):
    code = encodings.dct(5)
    assert encodings.reads_normalized(code)
    assert not encodings.reads_normalized(encodings.poisson(5))
    pixels = jax.random.randint(key, (2, 4, 4, 1), 0, 256).astype(jnp.uint8)
    normalised = (pixels.astype(jnp.float32) / 255 - 0.5) / 0.25
    spikes, _ = training.make_preprocess((0.5,), (0.25,), 3, encoding=code)(key, pixels, jnp.arange(2))
    np.testing.assert_array_equal(spikes, code(key, normalised))
    np.testing.assert_array_equal(training.make_normalize((0.5,), (0.25,), code)(pixels), spikes)


def test_floats_of_any_unit_are_read():
    dataset = make_dataset()
    parts = {
        part: getattr(dataset, part)._replace(inputs=getattr(dataset, part).inputs.astype(np.float32))
        for part in ("train", "test")
    }
    trainer = make_trainer(dataclasses.replace(dataset, **parts), encoding=encodings.dct(2))
    assert set(np.unique(trainer.normalize(trainer.dataset.test.inputs))) == {-1.0, 0.0, 1.0}


def test_no_images_are_refused(key):
    with pytest.raises(ValueError, match=r"dct reads images \[B, height, width, channels\], and the inputs have shape"):
        encodings.dct(4)(key, jnp.zeros((2, 8)))


@pytest.mark.parametrize("percentile", [-1.0, 50.0, 93.5])
def test_a_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(ValueError, match=f"percentile={percentile} must be in"):
        encodings.dct(4, percentile=percentile)
