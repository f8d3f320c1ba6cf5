"""The interval of an accuracy, and how many of its digits mean something."""

import pytest

from hdlif_jax.viz import decimals_of_percent, wilson
from hdlif_jax.viz.intervals import Z


@pytest.mark.parametrize("count", [1, 20, 359, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_the_bounds_are_where_the_share_would_be_surprising(share, count):
    """They solve (share − p)² = z² p (1 − p) / count."""
    low, high = wilson(share, count)
    assert 0 <= low <= share <= high <= 1
    assert high > low
    for bound in (low, high):
        if 0 < bound < 1:
            assert (share - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / count, abs=1e-12)
    others = wilson(1 - share, count)
    assert (1 - others[1], 1 - others[0]) == pytest.approx((low, high))


@pytest.mark.parametrize(("share", "count"), [(1.5, 10), (0.5, 0), (-0.1, 10)])
def test_of_nothing_there_is_no_interval(share, count):
    with pytest.raises(ValueError, match="must be"):
        wilson(share, count)


def test_digits_are_those_that_an_image_is_worth():
    assert {count: decimals_of_percent(count) for count in (1, 50, 100, 359, 1000, 10_000, 50_000)} == {
        1: 0, 50: 0, 100: 0, 359: 1, 1000: 1, 10_000: 2, 50_000: 2
    }  # fmt: skip
