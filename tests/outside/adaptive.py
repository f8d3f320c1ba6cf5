"""An adaptive LIF as a user writes it, outside of the package, and the rule that deploys it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import hdlif_jax as hd

State = dict[str, jax.Array]
SPIKE = hd.neurons.surrogates.triangle()


# [neuron]
class AdaptiveLIF(hd.nn.NeuronCell):
    """LIF whose threshold rises with every spike: θ_t = 1 + softplus(w) a_t, a_t = 0.9 a_{t−1} + s_{t−1}."""

    emits = hd.nn.BINARY
    operations = 5

    def __init__(self, num_steps: int, num_channels: int) -> None:
        self.raw_strength = nnx.Param(jnp.zeros(()))

    def start(self, x: jax.Array) -> State:
        """Potential and adaptation, at rest."""
        return {"potential": jnp.zeros_like(x), "adaptation": jnp.zeros_like(x)}

    def advance(self, state: State, x: jax.Array, tick: hd.nn.Tick) -> tuple[State, jax.Array]:
        """One time-step, from I_t to s_t."""
        return adaptive_step({"strength": jax.nn.softplus(self.raw_strength[...])}, state, x)


def adaptive_step(params: Any, state: State, current: jax.Array) -> tuple[State, jax.Array]:
    """The dynamics, as a pure function."""
    membrane = 0.5 * state["potential"] + current
    threshold = 1 + params["strength"] * state["adaptation"]
    spikes = SPIKE(membrane - threshold)
    return {"potential": membrane - threshold * spikes, "adaptation": 0.9 * state["adaptation"] + spikes}, spikes


# [rule]
def fold_adaptive(folding: hd.deploy.fold.Folding, cell: AdaptiveLIF, name: str, source: str) -> None:
    """What deployment runs in the cell's place: the same dynamics on what it has learned."""
    params = {"strength": jax.nn.softplus(cell.raw_strength[...])}
    folding.neuron(name, source, cell, adaptive_step, params, height=1.0)


# [end]
