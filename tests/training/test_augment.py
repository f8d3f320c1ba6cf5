import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.training.augment import random_crop


def test_each_image_is_a_window_of_its_padded_self():
    images = jax.random.randint(jax.random.key(0), (200, 5, 6, 2), 1, 255, jnp.int32).astype(jnp.uint8)
    crops = random_crop(jax.random.key(1), images, 2)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    found = []
    for image, crop in zip(padded, np.asarray(crops), strict=True):
        windows = [(i, j) for i in range(5) for j in range(5) if np.array_equal(image[i : i + 5, j : j + 6], crop)]
        assert len(windows) == 1
        found += windows
    assert len(set(found)) == 25  # every shift occurs
    assert crops.dtype == jnp.uint8


def test_no_padding_changes_nothing():
    images = jnp.arange(24, dtype=jnp.uint8).reshape(2, 3, 4, 1)
    np.testing.assert_array_equal(random_crop(jax.random.key(0), images, 0), images)
