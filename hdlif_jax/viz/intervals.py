"""How sure an accuracy is that was counted on so many images."""

import math

from hdlif_jax.checks import Count, Probability, check_arguments

Z = 1.96  # of 95 %


@check_arguments
def wilson(share: Probability, count: Count) -> tuple[float, float]:
    """The 95 % interval of a share that was counted, after Wilson (1927), which holds near 0 and 1, too.

    Args:
      share: in [0, 1].
      count: of what it is a share of, at least 1.

    Raises:
      TypeError: no numbers.
      ValueError: out of range.
    """
    spread = Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))  # rounding left out


@check_arguments
def decimals_of_percent(count: Count) -> int:
    """How many digits of a percentage mean something: one of `count` images is worth the last of them.

    Args:
      count: at least 1.

    Raises:
      TypeError: no integer.
      ValueError: out of range.
    """
    return min(2, max(0, math.ceil(math.log10(count)) - 2))
