"""Quantisers of spikes (Eq. 4) and of weights, with straight-through gradients, and standardised weights."""

from hdlif_jax.checks import Bits, WeightKind
from hdlif_jax.quantize.spikes import SpikeQuantizer, round_to, soft_round
from hdlif_jax.quantize.weights import (
    QuantizedKernel,
    binarize,
    has_levels,
    quantize_binary,
    quantize_ternary,
    standardize,
    ternarize,
    weight_quantizer,
)

__all__ = [
    "Bits",
    "QuantizedKernel",
    "SpikeQuantizer",
    "WeightKind",
    "binarize",
    "has_levels",
    "quantize_binary",
    "quantize_ternary",
    "round_to",
    "soft_round",
    "standardize",
    "ternarize",
    "weight_quantizer",
]
