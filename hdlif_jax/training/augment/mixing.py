"""Mixup and CutMix of a batch with its reverse, as timm's `Mixup` in its mode "batch": one draw for the whole batch."""

import jax
import jax.numpy as jnp


def mixup_by(images: jax.Array, targets: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mixup (Zhang et al. 2018): share·(x, y) + (1 − share)·(x, y reversed).

    Args:
      images: `[B, ...]` float.
      targets: `[B, K]` distributions.
      share: scalar in [0, 1].
    """
    return images * share + images[::-1] * (1 - share), targets * share + targets[::-1] * (1 - share)


def cutmix_at(
    images: jax.Array, targets: jax.Array, share: jax.Array, center: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """CutMix (Yun et al. 2019): a box of the reversed batch is pasted in; targets follow the box's true area.

    Args:
      images: `[B, ..., H, W, C]` float.
      targets: `[B, K]` distributions.
      share: scalar in [0, 1]; the box's sides are ⌊H·√(1 − share)⌋ and ⌊W·√(1 − share)⌋, cut at the border.
      center: `[2]` int32, row and column.
    """
    height, width = images.shape[-3:-1]
    ratio = jnp.sqrt(1 - share)

    def bounds(size: int, middle: jax.Array) -> tuple[jax.Array, jax.Array]:
        half = jnp.floor(size * ratio).astype(jnp.int32) // 2
        return jnp.clip(middle - half, 0, size), jnp.clip(middle + half, 0, size)

    (top, bottom), (left, right) = bounds(height, center[0]), bounds(width, center[1])
    rows, columns = jnp.arange(height, dtype=jnp.int32), jnp.arange(width, dtype=jnp.int32)
    box = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None, :]
    mask = box.reshape((1,) * (images.ndim - 3) + (height, width, 1))
    kept = 1 - ((bottom - top) * (right - left)).astype(images.dtype) / (height * width)
    return jnp.where(mask, images[::-1], images), targets * kept + targets[::-1] * (1 - kept)


def mix(
    key: jax.Array,
    images: jax.Array,
    targets: jax.Array,
    *,
    mixup_alpha: float = 1.0,
    cutmix_alpha: float = 0.0,
    switch_probability: float = 0.5,
) -> tuple[jax.Array, jax.Array]:
    """Mixup or CutMix, always one of the two; names and defaults are timm's.

    Args:
      key: draws which, the share ~ Beta(α, α), and the box.
      images: `[B, ..., H, W, C]` float.
      targets: `[B, K]` distributions.
      mixup_alpha: α of Mixup; 0 leaves Mixup out.
      cutmix_alpha: α of CutMix; 0 leaves CutMix out.
      switch_probability: of CutMix, where both are there.

    Returns:
      Images and targets, mixed.

    Raises:
      ValueError: neither.
    """
    if mixup_alpha <= 0 and cutmix_alpha <= 0:
        raise ValueError("mixup_alpha and cutmix_alpha are both 0; leave mixing out instead")
    switch_key, share_key, row_key, column_key = jax.random.split(key, 4)
    if cutmix_alpha <= 0:
        return mixup_by(images, targets, jax.random.beta(share_key, mixup_alpha, mixup_alpha, dtype=jnp.float32))
    center = jnp.stack(
        [
            jax.random.randint(row_key, (), 0, images.shape[-3], jnp.int32),
            jax.random.randint(column_key, (), 0, images.shape[-2], jnp.int32),
        ]
    )
    cut_share = jax.random.beta(share_key, cutmix_alpha, cutmix_alpha, dtype=jnp.float32)
    if mixup_alpha <= 0:
        return cutmix_at(images, targets, cut_share, center)
    mix_share = jax.random.beta(share_key, mixup_alpha, mixup_alpha, dtype=jnp.float32)
    mixed: tuple[jax.Array, jax.Array] = jax.lax.cond(
        jax.random.bernoulli(switch_key, jnp.float32(switch_probability)),
        lambda: cutmix_at(images, targets, cut_share, center),
        lambda: mixup_by(images, targets, mix_share),
    )
    return mixed
