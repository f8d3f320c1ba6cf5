"""Quantisers of spikes (Eq. 4) and weights (1 bit, 1.5 bit), with straight-through gradients."""

from hdlif_jax.checks import Bits, WeightKind
from hdlif_jax.quantize.spikes import SpikeQuantizer, round_to, soft_round
from hdlif_jax.quantize.weights import (
    QuantizedKernel,
    binarize,
    quantize_binary,
    quantize_ternary,
    ternarize,
    weight_quantizer,
)

__all__ = [
    "Bits",
    "QuantizedKernel",
    "SpikeQuantizer",
    "WeightKind",
    "binarize",
    "quantize_binary",
    "quantize_ternary",
    "round_to",
    "soft_round",
    "ternarize",
    "weight_quantizer",
]
