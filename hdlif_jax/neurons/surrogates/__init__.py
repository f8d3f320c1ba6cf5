"""Spike functions: a step in the forward pass, a surrogate derivative in the backward pass.

Each is a frozen dataclass, so that it prints what it is, and equal ones are equal: a cell that holds one can be a
static argument.
"""

from hdlif_jax.neurons.surrogates.adjustable import Adjustable, dspike, smooth_step
from hdlif_jax.neurons.surrogates.base import SpikeFunction, Surrogate
from hdlif_jax.neurons.surrogates.shapes import arctan, custom, fast_sigmoid, gaussian, rectangle, sigmoid, triangle

__all__ = [
    "Adjustable",
    "SpikeFunction",
    "Surrogate",
    "arctan",
    "custom",
    "dspike",
    "fast_sigmoid",
    "gaussian",
    "rectangle",
    "sigmoid",
    "smooth_step",
    "triangle",
]
