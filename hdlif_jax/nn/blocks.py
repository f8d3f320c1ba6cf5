"""The residual block of Fig. 3 in its four forms, on a stream that carries currents, not spikes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.attention import SECA
from hdlif_jax.nn.cells import make_cell
from hdlif_jax.nn.options import SpikingOptions
from hdlif_jax.nn.synapses import Conv

State = dict  # of child name → state; a missing child starts a sequence


class BatchNorm(nnx.BatchNorm):
    """BatchNorm over batch and space, whose statistics are shared over time and computed in float32."""

    def __init__(self, num_channels: int, rngs: nnx.Rngs):
        super().__init__(num_channels, momentum=0.9, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """`[B, H, W, C]` to the same shape and type."""
        return super().__call__(x.astype(jnp.float32)).astype(x.dtype)


class Downsample(nnx.Module):
    """The shortcut where the shape changes: 1×1 convolution and BatchNorm of the current."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, options: SpikingOptions, rngs: nnx.Rngs):
        self.conv = Conv(in_channels, out_channels, 1, stride=stride, weights=options.weights, rngs=rngs)
        self.norm = BatchNorm(out_channels, rngs)

    def __call__(self, current: jax.Array) -> jax.Array:
        """`[B, H, W, C_in]` to `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        return self.norm(self.conv(current))


class ResidualBlock(nnx.Module):
    """Two units neuron → conv3×3 → BatchNorm with a shortcut (Fig. 3).

    (a) vanilla: both neurons alike. (b) parallel: the second is Parallel HD-LIF. (c) SECA_I after each BatchNorm.
    (d) SECA_II: attention on the sum of a unit's input and output current, where their shapes match; SECA_I elsewhere.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, options: SpikingOptions, rngs: nnx.Rngs
    ):
        self.neuron1 = make_cell(options.neuron, options.num_steps, in_channels, options.quantizer)
        synapse: dict[str, Any] = {"weights": options.weights, "rngs": rngs}
        self.conv1 = Conv(in_channels, out_channels, stride=stride, spikes=self.neuron1.emits, **synapse)
        self.norm1 = BatchNorm(out_channels, rngs)
        self.neuron2 = make_cell(options.second_neuron, options.num_steps, out_channels, options.quantizer)
        self.conv2 = Conv(out_channels, out_channels, spikes=self.neuron2.emits, **synapse)
        self.norm2 = BatchNorm(out_channels, rngs)
        self.attention1 = None if options.attention == "none" else SECA(rngs=rngs)
        self.attention2 = None if options.attention == "none" else SECA(rngs=rngs)
        self.sums_before_attention = options.attention == "seca-2"
        keeps_shape = stride == 1 and in_channels == out_channels
        self.downsample = (
            None if keeps_shape else Downsample(in_channels, out_channels, stride=stride, options=options, rngs=rngs)
        )

    def __call__(self, state: State | None, current: jax.Array, t: jax.Array | int) -> tuple[State, jax.Array]:
        """One time-step: current `[B, H, W, C_in]` to current `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`."""
        state = state or {}
        state1, spikes = self.neuron1(state.get("neuron1"), current, t)
        hidden = self.norm1(self.conv1(spikes))
        if self.attention1 is not None:
            joined = self.sums_before_attention and self.downsample is None
            hidden = self.attention1(current + hidden if joined else hidden)
        state2, spikes = self.neuron2(state.get("neuron2"), hidden, t)
        output = self.norm2(self.conv2(spikes))
        if self.attention2 is not None:
            output = self.attention2(hidden + output if self.sums_before_attention else output)
        shortcut = current if self.downsample is None else self.downsample(current)
        return {"neuron1": state1, "neuron2": state2}, output + shortcut
