import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.training import augment
from hdlif_jax.training.augment import mixing

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 10, 3)).astype(np.float32)
TARGETS = np.eye(6, dtype=np.float32)


def test_mixup_equals_numpy():
    images, targets = mixing.mixup_by(IMAGES, TARGETS, jnp.float32(0.3))
    share = np.float32(0.3)
    np.testing.assert_allclose(images, share * IMAGES + (1 - share) * IMAGES[::-1], rtol=1e-6)
    np.testing.assert_allclose(targets, share * TARGETS + (1 - share) * TARGETS[::-1], rtol=1e-6)


@pytest.mark.parametrize("center", [(0, 0), (4, 5), (7, 9), (2, 8)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99, 1.0])
def test_cutmix_equals_numpy(center, share):
    images, targets = mixing.cutmix_at(IMAGES, TARGETS, jnp.float32(share), jnp.asarray(center))
    ratio = np.sqrt(1 - np.float32(share))
    half_height, half_width = int(8 * ratio) // 2, int(10 * ratio) // 2
    top, bottom = np.clip([center[0] - half_height, center[0] + half_height], 0, 8)
    left, right = np.clip([center[1] - half_width, center[1] + half_width], 0, 10)
    expected = IMAGES.copy()
    expected[:, top:bottom, left:right] = IMAGES[::-1][:, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / 80
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_allclose(targets, kept * TARGETS + (1 - kept) * TARGETS[::-1], rtol=1e-6)


def test_event_frames_are_cut_alike_at_all_steps():
    frames = np.stack([IMAGES] * 3, 1)
    images, _ = mixing.cutmix_at(IMAGES, TARGETS, jnp.float32(0.5), jnp.array([4, 4]))
    mixed, _ = mixing.cutmix_at(frames, TARGETS, jnp.float32(0.5), jnp.array([4, 4]))
    np.testing.assert_array_equal(mixed, np.stack([images] * 3, 1))


def shares(mixup_alpha, cutmix_alpha, switch_probability=0.5, number=1500):
    """What `mix` keeps of the first target, for many keys, and whether it was by CutMix."""
    images = jnp.concatenate([jnp.zeros((1, 16, 16, 1)), jnp.ones((1, 16, 16, 1))])

    def one(key):
        mixed, targets = augment.mix(
            key,
            images,
            jnp.eye(2),
            mixup_alpha=mixup_alpha,
            cutmix_alpha=cutmix_alpha,
            switch_probability=switch_probability,
        )
        return targets[0, 0], jnp.all((mixed == 0) | (mixed == 1)), jnp.mean(mixed[0])

    kept, cut, mean = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(1), number))
    np.testing.assert_allclose(mean, 1 - kept, atol=1e-5)  # images and targets tell the same share
    return np.asarray(kept), np.asarray(cut)


def test_mixup_draws_beta_and_is_switched():
    kept, cut = shares(0.8, 1.0, switch_probability=0.3)
    assert abs(cut.mean() - 0.3) < 5 * np.sqrt(0.21 / 1500)
    mixed = kept[~cut]
    assert abs(mixed.mean() - 0.5) < 0.05
    assert abs(mixed.var() - 1 / (4 * (2 * 0.8 + 1))) < 0.015


def test_cutmix_keeps_the_share_that_the_box_left():
    kept, cut = shares(0.0, 1.0)
    assert cut.all()
    generator = np.random.default_rng(0)
    half = (16 * np.sqrt(1 - generator.beta(1, 1, (20000, 1)))).astype(int) // 2
    center = generator.integers(0, 16, (20000, 2))
    sides = np.clip(center + half, 0, 16) - np.clip(center - half, 0, 16)
    expected = 1 - sides.prod(1) / 256
    np.testing.assert_allclose(np.quantile(kept, [0.1, 0.5, 0.9]), np.quantile(expected, [0.1, 0.5, 0.9]), atol=0.05)


def test_neither_is_refused(key):
    with pytest.raises(ValueError, match="both 0; leave mixing out"):
        augment.mix(key, IMAGES, TARGETS, mixup_alpha=0.0)
