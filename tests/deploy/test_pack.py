import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdlif_jax.deploy import ArtifactError
from hdlif_jax.deploy.format.pack import encoding_of, pack, packed_size, unpack


def test_bytes_by_hand():
    np.testing.assert_array_equal(pack(np.int8([1, -1, -1, -1, -1, -1, -1, 1, 1]), "binary"), [0b10000001, 0b10000000])
    # (1, 0, −1, −1, 1) are the trits 2, 1, 0, 0, 2 of 1, 3, 9, 27, 81; then −1 and four to fill up, all trit 0
    np.testing.assert_array_equal(pack(np.int8([1, 0, -1, -1, 1, -1]), "ternary"), [2 + 3 + 2 * 81, 0])


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from(["binary", "ternary"]))
@settings(max_examples=100, deadline=None)
def test_round_trip(seed, count, encoding):
    choices = [-1, 1] if encoding == "binary" else [-1, 0, 1]
    levels = np.random.default_rng(seed).choice(choices, (count, 3)).astype(np.int8)
    packed = pack(levels, encoding)
    assert packed.dtype == np.uint8
    assert len(packed) == packed_size(levels.size, encoding)
    unpacked = unpack(packed, encoding, levels.shape)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, levels)


def test_sizes():
    assert [packed_size(count, "binary") for count in (0, 1, 8, 9)] == [0, 1, 1, 2]
    assert [packed_size(count, "ternary") for count in (0, 1, 5, 6)] == [0, 1, 1, 2]
    assert packed_size(3, "float32") == 12


def test_the_smallest_encoding_is_chosen():
    assert encoding_of(np.int8([1, -1])) == "binary"
    assert encoding_of(np.int8([1, 0])) == "ternary"
    assert encoding_of(np.float32([1, 0])) == "float32"


@pytest.mark.parametrize(("levels", "encoding"), [([0, 1], "binary"), ([2], "ternary"), ([-2], "binary")])
def test_only_levels_are_packed(levels, encoding):
    with pytest.raises(ValueError, match="quantise the kernel first"):
        pack(np.int8(levels), encoding)


@pytest.mark.parametrize(
    ("packed", "encoding", "count", "message"),
    [
        ([243], "ternary", 5, "above 242"),
        ([255], "ternary", 5, "above 242"),
        ([0, 0], "ternary", 5, "2 bytes cannot hold 5"),
        ([0], "binary", 9, "1 bytes cannot hold 9"),
        ([2 * 81], "ternary", 4, "not filled up"),
        ([1], "binary", 7, "not filled up"),
    ],
)
def test_bytes_that_pack_never_makes_are_refused(packed, encoding, count, message):
    with pytest.raises(ArtifactError, match=message):
        unpack(np.uint8(packed), encoding, (count,))
