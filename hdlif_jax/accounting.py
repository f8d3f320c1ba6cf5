"""What memory, operations and energy are counted as: the formulas behind Tables 1-2 of the paper, on plain numbers.

A kind of weights is "float", "ternary" (1.5 bit), "binary" (1 bit) or "standardized" (floats again), as in
`quantize.WeightKind`.
"""

import math
from typing import NamedTuple

FLOAT_BYTES = 4
PAPER_BYTES: dict[str, float] = {"float": 4.0, "standardized": 4.0, "ternary": 0.375, "binary": 0.25}  # of a weight
WEIGHTS_PER_BYTE: dict[str, int] = {"ternary": 5, "binary": 8}  # packed: 3⁵ = 243 ≤ 2⁸
FULL_BITS = 32  # spikes of n bits take n of 32 parts of the energy
ACCUMULATE_PJ = 0.9
MULTIPLY_ACCUMULATE_PJ = 4.6


class LayerBytes(NamedTuple):
    """Memory of one layer.

    Attributes:
      paper: as the paper counts.
      packed: as a file has it.
    """

    paper: float
    packed: int


def paper_bytes(num_weights: int, kind: str) -> float:
    """Memory of weights as the paper counts it: 4, 0.375 or 0.25 bytes each."""
    return num_weights * PAPER_BYTES[kind]


def packed_bytes(num_weights: int, kind: str) -> int:
    """Memory of weights in whole bytes of 5 ternary or 8 binary ones, without their scales."""
    return -(-num_weights // WEIGHTS_PER_BYTE[kind]) if kind in WEIGHTS_PER_BYTE else FLOAT_BYTES * num_weights


def layer_bytes(kernel_shape: tuple[int, ...], kind: str, num_biases: int = 0) -> LayerBytes:
    """Memory of a convolution or linear layer.

    Args:
      kernel_shape: `(..., C_in, C_out)`.
      kind: of its weights. Packed ones have float32 scales: one per output channel (binary) or layer (ternary).
      num_biases: entries of its bias, float32 in either way of counting.
    """
    num_weights = math.prod(kernel_shape)
    num_scales = {"ternary": 1, "binary": kernel_shape[-1]}.get(kind, 0)
    return LayerBytes(
        paper_bytes(num_weights, kind) + FLOAT_BYTES * num_biases,
        packed_bytes(num_weights, kind) + FLOAT_BYTES * (num_scales + num_biases),
    )


def neural_operations(num_neurons: int, operations: int, num_steps: int) -> int:
    """NOPs of a layer for one input.

    Args:
      num_neurons: in the layer.
      operations: of a neuron and step: leak, charge and reset are 3, the one addition of a parallel neuron is 1.
      num_steps: T.
    """
    return num_neurons * operations * num_steps


def accumulate_mj(sops: float, bits: int | None = None) -> float:
    """Energy of synaptic operations in millijoules, 0.9 pJ each.

    Args:
      sops: pairs of a spike and a weight that are both not zero.
      bits: n of quantised spikes, which the paper divides by 32 / n; None for spikes of one height and for unquantised
        ones, which it does not.
    """
    return sops * ACCUMULATE_PJ * 1e-9 * (1.0 if bits is None else bits / FULL_BITS)


def multiply_accumulate_mj(macs: float) -> float:
    """Energy of multiply-accumulates in millijoules, 4.6 pJ each."""
    return macs * MULTIPLY_ACCUMULATE_PJ * 1e-9
