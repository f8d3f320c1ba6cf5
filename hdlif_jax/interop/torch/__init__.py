"""Weights of PyTorch networks into ours and back, without approximations: what cannot be said exactly is refused."""

from hdlif_jax.interop.torch.files import read_state_dict
from hdlif_jax.interop.torch.layers import Layer
from hdlif_jax.interop.torch.load import Imported, from_state_dict
from hdlif_jax.interop.torch.module import from_layers
from hdlif_jax.interop.torch.names import names_of
from hdlif_jax.interop.torch.neurons import neuron_of, snntorch_leaky, spikingjelly_if, spikingjelly_lif
from hdlif_jax.interop.torch.report import Match, Report
from hdlif_jax.interop.torch.save import to_state_dict

__all__ = [
    "Imported",
    "Layer",
    "Match",
    "Report",
    "from_layers",
    "from_state_dict",
    "names_of",
    "neuron_of",
    "read_state_dict",
    "snntorch_leaky",
    "spikingjelly_if",
    "spikingjelly_lif",
    "to_state_dict",
]
