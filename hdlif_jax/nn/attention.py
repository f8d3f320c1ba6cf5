"""Spiking efficient channel attention (Eq. 9)."""

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import ops
from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.nn.module import Module


class SECA(Module):
    """σ(Conv1d(GAP(I_t))) ⊙ I_t: one filter of width K over the channels, shared over time (Eq. 9).

    SECA_I applies it to a layer's current; SECA_II to the sum of the pre- and post-synaptic currents (Eq. 10), which
    is the caller's sum. With a bias, as in the authors' code.
    """

    @check_arguments
    def __init__(self, kernel_size: Count = 5, *, rngs: nnx.Rngs):
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be odd, so that the filter has a centre channel, e.g. 5")
        init = nnx.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (kernel_size, 1), jnp.float32).reshape(kernel_size))
        self.bias = nnx.Param(jnp.zeros((), jnp.float32))

    def __call__(self, current: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, H, W, C]`."""
        return ops.channel_attention(self.kernel[...], self.bias[...], current)
