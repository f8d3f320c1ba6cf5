"""Dropout over time."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Share, check_arguments
from hdlif_jax.nn.cell import Cell
from hdlif_jax.nn.module import Tick


class Dropout(Cell):
    """Sets a share of its inputs to zero while training, and scales the others up; the identity in inference.

    Args:
      rate: the share, in [0, 1).
      per: "sequence" draws once and drops the same inputs at all steps, as is usual for spiking networks; "step" draws
        at every step.

    Raises:
      ValueError: a value out of range; in training, a rule or form that was given no key.
    """

    operations = 0  # in inference

    @check_arguments
    def __init__(self, rate: Share = 0.5, per: Literal["sequence", "step"] = "sequence"):
        self.rate, self.per = rate, per

    def start(self, x: jax.Array) -> tuple[()]:
        """There is no memory: a sequence's draw follows from its key."""
        return ()

    def advance(self, state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """`[B, ...]` to the same shape."""
        if not self.trains or self.rate == 0:
            return state, x
        key = tick.key if self.per == "sequence" else tick.step_key
        if key is None:
            raise ValueError("Dropout draws in training and has no key; hand one to the rule, or to the network's step")
        kept = jax.random.bernoulli(key, jnp.float32(1 - self.rate), x.shape)
        return state, jnp.where(kept, x / (1 - self.rate), 0)
