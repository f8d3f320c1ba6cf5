"""The last time-step alone teaches."""

import dataclasses

import jax
import jax.numpy as jnp

from hdlif_jax.learning.base import Batch, Gradient, GradientRule, Loss
from hdlif_jax.learning.online import gradient_at_steps
from hdlif_jax.nn import Network, Variables


@dataclasses.dataclass(frozen=True)
class last_step(GradientRule):  # noqa: N801 - a class that is called as a function
    """Steps before the last run forward only."""

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`."""
        last = jnp.array([network.num_steps - 1])
        return gradient_at_steps(network, loss, variables, batch, last, key=key)
