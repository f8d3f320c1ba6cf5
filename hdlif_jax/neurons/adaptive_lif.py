"""Adaptive LIF: a threshold that rises with every spike and decays back (Bellec et al., LSNN, NeurIPS 2018)."""

from typing import NamedTuple

import chex
import jax

from hdlif_jax.neurons.base import charge
from hdlif_jax.neurons.surrogates import SpikeFunction, triangle


class AdaptiveParams(NamedTuple):
    """Parameters of one layer.

    Attributes:
      decay: λ in (0, 1), of the membrane.
      threshold: θ > 0 at rest.
      strength: β ≥ 0, what a spike adds to the threshold.
      adaptation_decay: ρ in (0, 1), of the adaptation.
    """

    decay: jax.Array
    threshold: jax.Array
    strength: jax.Array
    adaptation_decay: jax.Array


class AdaptiveState(NamedTuple):
    """Potential v_t and adaptation a_t, both `[B, ...]`; zeros start a sequence."""

    potential: jax.Array
    adaptation: jax.Array


def step(
    params: AdaptiveParams,
    state: AdaptiveState,
    current: jax.Array,
    *,
    spike_function: SpikeFunction = triangle(),
) -> tuple[AdaptiveState, jax.Array]:
    """One time-step: m = λ v + I, s = 1[m ≥ θ + β a], v = m − (θ + β a) s, a ← ρ a + s.

    Args:
      params: λ, θ, β and ρ.
      state: v_{t−1} and a_{t−1} `[B, ...]`.
      current: I_t `[B, ...]`.
      spike_function: 1[m − θ_t ≥ 0] with a surrogate derivative.

    Returns:
      The state, and the spikes s_t ∈ {0, 1} `[B, ...]`.

    Raises:
      AssertionError: state and current of different shapes or types, or not floating.
    """
    chex.assert_equal_shape((state.adaptation, current), custom_message="an adaptation has the shape of its current")
    membrane = charge(params.decay, state.potential, current)
    threshold = params.threshold + params.strength * state.adaptation
    spikes = spike_function(membrane - threshold)
    adaptation = params.adaptation_decay * state.adaptation + spikes
    return AdaptiveState(membrane - threshold * spikes, adaptation), spikes
