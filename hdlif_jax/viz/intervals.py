"""How sure an accuracy is that was counted on so many images."""

import math

Z = 1.96  # of 95 %


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted, after Wilson (1927), which holds near 0 and 1, too.

    Args:
      share: in [0, 1].
      count: of what it is a share of.
    """
    spread = Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))  # rounding left out


def decimals_of_percent(count: int) -> int:
    """How many digits of a percentage mean something: one of `count` images is worth the last of them."""
    return min(2, max(0, math.ceil(math.log10(count)) - 2))
