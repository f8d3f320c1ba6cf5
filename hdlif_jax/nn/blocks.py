"""The residual block of Fig. 3 in its four forms, on a stream that carries currents, and the shortcut of any block."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.cell import SpikeInput, emitted
from hdlif_jax.nn.module import Carry, Module, Stateful, Tick
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Conv


class Downsample(Module):
    """The shortcut where the shape changes: 1×1 convolution and normalisation of currents or spikes."""

    composes = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        spikes: SpikeInput | None = None,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            in_channels,
            out_channels,
            1,
            stride=stride,
            weights=spec.weights,
            spikes=spikes,
            bias=spec.bias,
            init=spec.init,
            rngs=rngs,
        )
        self.norm = spec.summed_norm(out_channels, rngs)

    def __call__(self, current: jax.Array) -> jax.Array:
        """`[B, H, W, C_in]` to `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        shortcut: jax.Array = self.norm(self.conv(current))
        return shortcut


def make_shortcut(
    in_channels: int, out_channels: int, *, stride: int, spikes: SpikeInput | None = None, spec: Spec, rngs: nnx.Rngs
) -> nnx.Module | None:
    """What a block's input goes through before it is added to the output; None is the input itself."""
    if stride == 1 and in_channels == out_channels:
        return spec.summed_norm(out_channels, rngs) if spec.identity_norm else None
    return Downsample(in_channels, out_channels, stride=stride, spikes=spikes, spec=spec, rngs=rngs)


class ResidualBlock(Stateful):
    """Two units neuron → conv3×3 → norm with a shortcut (Fig. 3).

    (a) vanilla: both neurons alike. (b) parallel: the second is Parallel HD-LIF. (c) SECA_I after each norm.
    (d) SECA_II: attention on the sum of a unit's input and output current, where their shapes match; SECA_I elsewhere.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, spec: Spec, rngs: nnx.Rngs):
        self.neuron1 = spec.neuron(spec.num_steps, in_channels)
        self.dropout1, self.dropout2 = spec.make_dropout(), spec.make_dropout()
        synapse: dict[str, Any] = {"weights": spec.weights, "bias": spec.bias, "init": spec.init, "rngs": rngs}
        reads = emitted(self.neuron1, self.dropout1)
        self.conv1 = Conv(in_channels, out_channels, stride=stride, spikes=reads, **synapse)
        self.norm1 = spec.norm(out_channels, rngs)
        self.neuron2 = spec.second(spec.num_steps, out_channels)
        self.conv2 = Conv(out_channels, out_channels, spikes=emitted(self.neuron2, self.dropout2), **synapse)
        self.norm2 = spec.summed_norm(out_channels, rngs)
        self.attention1 = None if spec.attention == "none" else SECA(rngs=rngs)
        self.attention2 = None if spec.attention == "none" else SECA(rngs=rngs)
        self.sums_before_attention = spec.attention == "seca-2"
        self.downsample: Any = make_shortcut(in_channels, out_channels, stride=stride, spec=spec, rngs=rngs)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: current `[B, H, W, C_in]` to current `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        carry = Carry(state, tick)
        hidden = self.norm1(self.conv1(carry.through(current, self.neuron1, self.dropout1)))
        if self.attention1 is not None:
            joined = self.sums_before_attention and self.downsample is None
            hidden = self.attention1(current + hidden if joined else hidden)
        output = self.norm2(self.conv2(carry.through(hidden, self.neuron2, self.dropout2)))
        if self.attention2 is not None:
            output = self.attention2(hidden + output if self.sums_before_attention else output)
        shortcut = current if self.downsample is None else self.downsample(current)
        return carry.state, output + shortcut
