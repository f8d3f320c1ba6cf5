"""What the networks can be made of: one typed, validated record for all of them."""

import dataclasses
from typing import Literal, get_args

from hdlif_jax.nn.cells import NeuronKind
from hdlif_jax.quantize import SpikeQuantizer, WeightKind

Attention = Literal["none", "seca-1", "seca-2"]


@dataclasses.dataclass(frozen=True)
class SpikingOptions:
    """Neurons, weights and spikes of a network.

    Attributes:
      num_steps: T, the number of time-steps.
      neuron: neuron model; "parallel" makes all neurons Parallel HD-LIF.
      parallel: whether the second neuron of each residual block is Parallel HD-LIF, block (b) of Fig. 3, half of all
        neurons; None means yes in blocks, except for LIF, which has no parallel form.
      weights: kernels of all convolutions but the first; the last linear layer is always float.
      spike_bits: n of the spike quantiser (Eq. 4); None for unquantised spikes. LIF spikes are binary anyway.
      spike_scale: s of the spike quantiser, the size of one level.
      attention: channel attention (Eqs. 9-10): "none", SECA_I or SECA_II.

    Raises:
      ValueError: a value out of range, or a mix that does not exist.
    """

    num_steps: int = 4
    neuron: Literal["lif", "hd-lif", "mem-bn", "parallel"] = "hd-lif"
    parallel: bool | None = None
    weights: WeightKind = "ternary"
    spike_bits: int | None = 4
    spike_scale: float = 0.25
    attention: Attention = "none"

    def __post_init__(self):
        if self.num_steps < 1:
            raise ValueError(f"num_steps={self.num_steps} must be at least 1")
        for name in ("neuron", "weights", "attention"):
            allowed = get_args(SpikingOptions.__annotations__[name])
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(allowed)}")
        if self.neuron == "lif" and self.parallel:
            raise ValueError("neuron='lif' has no parallel form; use parallel=False or neuron='hd-lif'")
        if self.neuron == "parallel" and self.parallel is False:
            raise ValueError(
                "neuron='parallel' makes all neurons parallel, but parallel=False; "
                "use neuron='hd-lif' for serial neurons, or leave parallel unset"
            )
        _ = self.quantizer

    @property
    def quantizer(self) -> SpikeQuantizer:
        """The spike quantiser Q."""
        if self.spike_bits is None:
            return SpikeQuantizer(self.spike_scale, softness=None)
        return SpikeQuantizer(self.spike_scale, self.spike_bits)

    @property
    def second_neuron(self) -> NeuronKind:
        """Neuron model at the second position of a block."""
        parallel = self.neuron != "lif" if self.parallel is None else self.parallel
        return "parallel" if parallel else self.neuron
