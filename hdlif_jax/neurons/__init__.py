"""Pure neuron dynamics: `step(params_t, state, current) -> (state, spikes)`. No Flax, no time loop."""

from hdlif_jax.neurons import hd_lif, lif, mem_bn, parallel, surrogate
from hdlif_jax.neurons.state import NeuronParams, NeuronState, charge

__all__ = ["NeuronParams", "NeuronState", "charge", "hd_lif", "lif", "mem_bn", "parallel", "surrogate"]
