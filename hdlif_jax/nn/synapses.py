"""Convolution and linear layers with float, binary or ternary kernels.

A layer quantises its kernel at every call, unless its attribute `kernel_is_quantized` says that the kernel it was
given already is Ŵ: the bridge in `functional.py` sets it, to quantise once per batch and not once per time-step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.ops import MAX_LEVEL, float_conv, integer_conv, prefers_integers
from hdlif_jax.quantize import SpikeQuantizer, WeightKind, weight_quantizer

FLOAT_KERNEL_INIT = nnx.initializers.he_normal()


class SpikeInput(NamedTuple):
    """What a layer knows of the spikes that it reads.

    Attributes:
      quantizer: Q of the neurons before it; None for LIF, whose spikes are 0 or θ.
      pooled: number of spikes averaged into one input.
    """

    quantizer: SpikeQuantizer | None
    pooled: int = 1

    @property
    def bits(self) -> int | None:
        """Bits of one spike; None where it is not quantised."""
        if self.quantizer is None:
            return 1
        return None if self.quantizer.softness is None else self.quantizer.bits

    @property
    def unit(self) -> float | None:
        """Size u of one level, where inputs are small integers times u; None where they are not."""
        if self.quantizer is None or self.quantizer.softness != 0 or self.quantizer.max_level * self.pooled > MAX_LEVEL:
            return None
        return self.quantizer.scale / self.pooled


class Synapse(nnx.Module):
    """A layer with a kernel `[..., C_in, C_out]` of a weight kind, that reads spikes or (`spikes` is None) currents."""

    def __init__(self, shape: tuple[int, ...], weights: WeightKind, spikes: SpikeInput | None, rngs: nnx.Rngs):
        self.weights = weights
        self.spikes = spikes
        self.kernel_is_quantized = False
        weight_quantizer(weights)  # an unknown kind is an error here and not in the first step
        self.kernel = nnx.Param(FLOAT_KERNEL_INIT(rngs.params(), shape, jnp.float32))

    def effective_kernel(self) -> jax.Array:
        """Ŵ, what the input is multiplied with."""
        if self.kernel_is_quantized:
            return self.kernel[...]
        return weight_quantizer(self.weights)(self.kernel[...])


class Conv(Synapse):
    """2-D convolution without bias (a BatchNorm follows), padded by half its kernel on every side."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        weights: WeightKind = "float",
        spikes: SpikeInput | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__((kernel_size, kernel_size, in_channels, out_channels), weights, spikes, rngs)
        self.kernel_size = kernel_size
        self.stride = stride
        self.integer_forward: bool | None = False  # None: what was measured to be faster for this shape
        self.compute_dtype = jnp.float32

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C_in]` to `[B, ⌈H/stride⌉, ⌈W/stride⌉, C_out]`, of `compute_dtype`."""
        unit = self.spikes.unit if self.spikes and self.weights != "float" else None
        kernel = self.effective_kernel()
        integer = prefers_integers(self.kernel.shape) if self.integer_forward is None else self.integer_forward
        if integer and unit is not None:
            return integer_conv(x.astype(kernel.dtype), kernel, unit, self.stride).astype(self.compute_dtype)
        return float_conv(x.astype(self.compute_dtype), kernel.astype(self.compute_dtype), self.stride)


class Linear(Synapse):
    """Fully connected layer with bias."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weights: WeightKind = "float",
        spikes: SpikeInput | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__((in_features, out_features), weights, spikes, rngs)
        self.bias = nnx.Param(jnp.zeros(out_features))

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, C_in]` to float32 `[B, C_out]`."""
        return x.astype(jnp.float32) @ self.effective_kernel() + self.bias[...][None, :]
