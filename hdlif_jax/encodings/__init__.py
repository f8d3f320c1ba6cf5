"""Encodings as values: what a static input, such as an image, becomes over time.

An encoding is any function `(key, inputs) -> inputs over time`; your own is as good as one of these.
"""

from hdlif_jax.encodings.cosine import dct, dct_matrix, dct_slices, dct_thresholds, to_ycbcr, zigzag
from hdlif_jax.encodings.static import Encoding, direct, latency, poisson, reads_normalized

__all__ = [
    "Encoding",
    "dct",
    "dct_matrix",
    "dct_slices",
    "dct_thresholds",
    "direct",
    "latency",
    "poisson",
    "reads_normalized",
    "to_ycbcr",
    "zigzag",
]
