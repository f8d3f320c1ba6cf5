"""Statistics of levels that are read piece by piece: counted, so that they are exact in any order."""

import numpy as np

LEVELS = 256


def count_levels(inputs: np.ndarray) -> np.ndarray:
    """How often each channel of uint8 `[..., C]` has each level, `[C, 256]`."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    return np.stack([np.bincount(flat[:, channel], minlength=LEVELS) for channel in range(flat.shape[1])])


def statistics_of(counts: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in [0, 1]; as `arrays.statistics` of all inputs together.

    Args:
      counts: `[C, 256]`, the sum of `count_levels`.
    """
    levels = np.arange(LEVELS) / (LEVELS - 1)
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * np.square(levels - mean[:, None])).sum(1))
    several = (counts > 0).sum(1) > 1  # of one level the deviation is a rounding error
    return tuple(map(float, mean)), tuple(map(float, np.where(several, std, 1.0)))
