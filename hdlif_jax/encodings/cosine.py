"""The DCT code: an image comes in order of spatial frequency, as spikes of −1, 0 and 1 (Garg et al., ICCV 2021)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.checks import Count, TailPercentile, check_arguments, check_fields

# ruff: noqa: N801 - a class that is called as a function and named as such

# ITU-R BT.601: luma, and the differences of blue and red from it, scaled to half the range on either side.
RED, BLUE = 0.299, 0.114
LUMA = np.array([RED, 1 - RED - BLUE, BLUE])
TO_YCBCR = np.stack(
    [LUMA, (np.array([0, 0, 1]) - LUMA) / (2 * (1 - BLUE)), (np.array([1, 0, 0]) - LUMA) / (2 * (1 - RED))]
)
OFFSET = np.array([0, 128, 128]) / 255  # of the chroma, of levels 0…255


@dataclasses.dataclass(frozen=True)
class dct:
    """Frequencies one after the other: an image is cut into blocks, and step t adds the image of their t-th frequency.

    Each pixel sums up what comes and fires 1 where the sum exceeds an upper threshold, and −1 where it falls below a
    lower one; the threshold is then subtracted. Both are percentiles of the frequencies of the whole batch, so a code
    depends on the batch that it is of. After all frequencies the first comes again. Images of three channels are
    turned from RGB to YCbCr first.

    Attributes:
      num_steps: T.
      block: side n of the blocks, of n² frequencies.
      percentile: p of the lower threshold; the upper one is the (100 − p)-th.

    Raises:
      ValueError: a value out of range.
    """

    num_steps: Count
    block: Count = 4
    percentile: TailPercentile = 6.5
    normalized: ClassVar[bool] = True  # what it reads, as `reads_normalized` asks

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, key: jax.Array, inputs: jax.Array) -> jax.Array:
        """Normalised images `[B, H, W, C]` to spikes `[T, B, H, W, C]`, −1, 0 or 1.

        Raises:
          ValueError: no images.
        """
        if inputs.ndim != 4:
            raise ValueError(
                f"dct reads images [B, height, width, channels], and the inputs have shape {list(inputs.shape)}; use "
                "another encoding, or none"
            )
        images = inputs.astype(jnp.float32)
        slices = dct_slices(to_ycbcr(images) if inputs.shape[-1] == 3 else images, self.block)
        low, high = dct_thresholds(slices, self.percentile)

        def step(total: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
            total = total + slices[t % len(slices)]
            above, below = total > high, total < low
            total = total - jnp.where(above, high, 0) - jnp.where(below, low, 0)
            return total, above.astype(inputs.dtype) - below.astype(inputs.dtype)

        return jax.lax.scan(step, jnp.zeros_like(images), jnp.arange(self.num_steps, dtype=jnp.int32))[1]


def to_ycbcr(images: jax.Array) -> jax.Array:
    """RGB `[..., 3]`, in which 1 is white, to Y, Cb and Cr, these around 128/255: BT.601, full range."""
    offset = jnp.asarray(OFFSET, images.dtype).reshape((1,) * (images.ndim - 1) + (3,))
    return _exactly("...i,ki->...k", images, TO_YCBCR) + offset


@check_arguments
def dct_matrix(block: Count) -> np.ndarray:
    """The orthonormal DCT-II, Q `[n, n]`, a row a frequency: of a block X, the coefficients are Q X Qᵀ."""
    frequency, place = np.arange(block)[:, None], np.arange(block)[None]
    rows = np.sqrt(2 / block) * np.cos(np.pi * (2 * place + 1) * frequency / (2 * block))
    rows[0] /= np.sqrt(2)
    return rows


@check_arguments
def zigzag(block: Count) -> np.ndarray:
    """The frequencies (row, column) `[n², 2]` of a block as JPEG orders them: by diagonals, which turn at the edges."""
    places = [(row, column) for row in range(block) for column in range(block)]
    return np.array(sorted(places, key=lambda at: (sum(at), at[1] if sum(at) % 2 == 0 else at[0])))


@check_arguments
def dct_slices(images: jax.Array, block: Count = 4) -> jax.Array:
    """Images by frequency; together they are the images.

    Args:
      images: `[B, H, W, C]`. Where blocks do not fit, the last pixels are repeated for them.
      block: side n of the blocks.

    Returns:
      `[n², B, H, W, C]`, in zigzag order: each block's part of one frequency, coefficient times basis image.
    """
    batch, height, width, channels = images.shape
    padded = jnp.pad(images, [(0, 0), (0, -height % block), (0, -width % block), (0, 0)], mode="edge")
    rows, columns = padded.shape[1] // block, padded.shape[2] // block
    blocks = padded.reshape(batch, rows, block, columns, block, channels)
    matrix, (vertical, horizontal) = dct_matrix(block), zigzag(block).T
    bases = np.einsum("ki,kj->kij", matrix[vertical], matrix[horizontal])
    coefficients = _exactly("bricjd,kij->kbrcd", blocks, bases)
    slices = _exactly("kbrcd,kij->kbricjd", coefficients, bases)
    return slices.reshape(-1, *padded.shape)[:, :, :height, :width]


@check_arguments
def dct_thresholds(slices: jax.Array, percentile: TailPercentile = 6.5) -> tuple[jax.Array, jax.Array]:
    """The lower and the upper threshold of a batch: percentiles, interpolated linearly, of all values of its slices."""
    ranks = jnp.asarray((percentile, 100 - percentile), slices.dtype)
    low, high = jnp.percentile(slices, ranks)
    return low, high


def _exactly(subscripts: str, x: jax.Array, constant: np.ndarray) -> jax.Array:
    """A product with constants in full precision: accelerators would round it, and spikes with it."""
    return jnp.einsum(subscripts, x, jnp.asarray(constant, x.dtype), precision=jax.lax.Precision.HIGHEST)
