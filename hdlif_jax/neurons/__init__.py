"""Pure neuron dynamics: `step(params_t, state, current) -> (state, spikes)`. No Flax, no time loop."""

from hdlif_jax.neurons import adaptive_lif, glif, hd_lif, lif, mem_bn, parallel, surrogates
from hdlif_jax.neurons.base import NeuronParams, NeuronStep, charge

__all__ = [
    "NeuronParams",
    "NeuronStep",
    "adaptive_lif",
    "charge",
    "glif",
    "hd_lif",
    "lif",
    "mem_bn",
    "parallel",
    "surrogates",
]
