"""Convolution and linear layers with float, binary, ternary or standardised kernels.

A layer quantises its kernel at every call, except in a form: there the kernel that it is given already is Ŵ, to
quantise once per batch and not once per time-step.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Amount, Count, check_arguments
from hdlif_jax.nn.cell import SpikeInput
from hdlif_jax.nn.declared import definer
from hdlif_jax.nn.inits import Init, he_normal
from hdlif_jax.nn.module import Module
from hdlif_jax.nn.needs import check_rngs
from hdlif_jax.ops import float_conv, integer_conv
from hdlif_jax.quantize import WeightKind, has_levels, weight_quantizer
from hdlif_jax.xla_cpu import prefers_integers


class Synapse(Module):
    """A layer with a kernel `[..., C_in, C_out]` of a weight kind, that reads spikes or (`spikes` is None) currents.

    Attributes:
      weighted_sum: whether every output of channel c is a sum of inputs times the entries of `kernel[..., c]`, and of a
        bias where there is one. Costs go by it; a class that writes `__call__` anew says it anew.
      gain: of standardised kernels, `[C_out]`; None of others.

    Raises:
      TypeError: `rngs` are no generators; of the layers, sizes that are no integers.
      ValueError: an unknown weight kind; of the layers, sizes below one, and even kernels.
    """

    weighted_sum: bool = False

    def __init__(
        self, shape: tuple[int, ...], weights: WeightKind, spikes: SpikeInput | None, init: Init, rngs: nnx.Rngs
    ):
        check_rngs(rngs)
        self.weights = weights
        self.spikes = spikes
        weight_quantizer(weights)  # an unknown kind is an error here and not in the first step
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.gain = nnx.Param(jnp.ones(shape[-1], jnp.float32)) if weights == "standardized" else None

    def effective_kernel(self) -> jax.Array:
        """Ŵ, what the input is multiplied with."""
        return self.kernel[...] if self.form is not None else self.quantized_kernel()

    def quantized_kernel(self) -> jax.Array:
        """Ŵ of the layer's own parameters, outside of a form."""
        gain = self.gain if self.weights == "standardized" else None
        gains = () if gain is None else (gain[...],)
        return weight_quantizer(self.weights)(self.kernel[...], *gains)


class Conv(Synapse):
    """2-D convolution; without bias by default, as a BatchNorm follows.

    `padding` is the number of rows and columns of zeros on every side; None is half of the kernel, whose size is then
    odd.
    """

    weighted_sum = True

    @check_arguments
    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        kernel_size: Count = 3,
        *,
        stride: Count = 1,
        padding: Amount | None = None,
        weights: WeightKind = "float",
        spikes: SpikeInput | None = None,
        bias: bool = False,
        init: Init = he_normal(),
        rngs: nnx.Rngs,
    ):
        if kernel_size % 2 == 0 and padding is None:
            raise ValueError(f"kernel_size={kernel_size} must be odd: else say the padding, which is half of it")
        super().__init__((kernel_size, kernel_size, in_channels, out_channels), weights, spikes, init, rngs)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = kernel_size // 2 if padding is None else padding
        self.bias = nnx.Param(jnp.zeros(out_channels, jnp.float32)) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C_in]` to `[B, H', W', C_out]` as `ops.float_conv`, of the form's type."""
        dtype = jnp.dtype("float32" if self.form is None else self.form.dtype)
        kernel, unit = self.effective_kernel(), self._integer_unit()
        if unit is not None:
            sums = integer_conv(x.astype(kernel.dtype), kernel, unit, self.stride, self.padding).astype(dtype)
        else:
            sums = float_conv(x.astype(dtype), kernel.astype(dtype), self.stride, self.padding)
        return sums if self.bias is None else sums + self.bias[...].astype(dtype)[None, None, None, :]

    def _integer_unit(self) -> float | None:
        """Size of an input's level where the layer computes in integers; None where it does not."""
        if self.form is None or not has_levels(self.weights) or self.spikes is None:
            return None
        if definer(type(self), "effective_kernel") is not Synapse:  # which may have other levels than −1, 0 and 1
            return None
        integer = prefers_integers(self.kernel.shape) if self.form.integer is None else self.form.integer
        return self.spikes.unit if integer else None


class Linear(Synapse):
    """Fully connected layer, with bias unless it is said otherwise."""

    weighted_sum = True

    @check_arguments
    def __init__(
        self,
        in_features: Count,
        out_features: Count,
        *,
        weights: WeightKind = "float",
        spikes: SpikeInput | None = None,
        bias: bool = True,
        init: Init = he_normal(),
        rngs: nnx.Rngs,
    ):
        super().__init__((in_features, out_features), weights, spikes, init, rngs)
        self.bias = nnx.Param(jnp.zeros(out_features, jnp.float32)) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, C_in]` to float32 `[B, C_out]`."""
        sums = x.astype(jnp.float32) @ self.effective_kernel()
        return sums if self.bias is None else sums + self.bias[...][None, :]
