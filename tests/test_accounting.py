"""The formulas of the tables, by hand."""

import pytest

from hdlif_jax import accounting


def test_bytes_of_weights():
    assert [accounting.paper_bytes(1000, kind) for kind in ("float", "ternary", "binary")] == [4000, 375, 250]
    assert [accounting.packed_bytes(1001, kind) for kind in ("float", "ternary", "binary")] == [4004, 201, 126]


@pytest.mark.parametrize(
    ("kind", "paper", "packed"),
    [
        ("float", 4 * 54 + 24, 4 * 54 + 24),
        ("ternary", 54 * 0.375 + 24, 11 + 4 + 24),
        ("binary", 13.5 + 24, 7 + 24 + 24),
    ],
)
def test_bytes_of_a_layer_with_scales_and_bias(kind, paper, packed):
    assert accounting.layer_bytes((3, 3, 1, 6), kind, 6) == (paper, packed)


def test_memory_of_the_paper_for_cifar100_resnet18():
    """11,210,432 weights, of which the stem and the last layer are float (Table 2: 44.84, 4.40 and 3.00 MB)."""
    float_weights = 3 * 3 * 3 * 64 + 512 * 100
    quantized = 11_210_432 - float_weights
    for kind, megabytes in (("float", 44.84), ("ternary", 4.40), ("binary", 3.00)):
        total = accounting.paper_bytes(float_weights, "float") + accounting.paper_bytes(quantized, kind)
        assert total / 1e6 == pytest.approx(megabytes, abs=0.01)


def test_neural_operations_of_the_paper():
    first, second = 303_104, 245_760
    of_both = [accounting.neural_operations(first, 3, 4) + accounting.neural_operations(second, n, 4) for n in (3, 1)]
    assert [round(operations / 1e6, 2) for operations in of_both] == [6.59, 4.62]


def test_power_of_the_paper():
    assert accounting.accumulate_mj(190.13e6, bits=4) == pytest.approx(0.02, abs=0.005)
    assert accounting.accumulate_mj(284.49e6) == pytest.approx(0.26, abs=0.005)
    assert accounting.multiply_accumulate_mj(1e9) == pytest.approx(4.6)
