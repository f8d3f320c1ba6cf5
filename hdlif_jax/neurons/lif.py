"""Leaky integrate-and-fire with reset by subtraction, the baseline (Eq. 1)."""

import jax

from hdlif_jax.neurons.state import NeuronParams, NeuronState, charge
from hdlif_jax.neurons.surrogate import SpikeFunction, triangle

DEFAULT_SPIKE_FUNCTION = triangle(1.0)


def step(
    params: NeuronParams,
    state: NeuronState,
    current: jax.Array,
    *,
    spike_function: SpikeFunction = DEFAULT_SPIKE_FUNCTION,
) -> tuple[NeuronState, jax.Array]:
    """One time-step: m = λ v + I, s = θ·1[m ≥ θ], v = m − s (Eq. 1).

    Args:
      params: λ and θ.
      state: v_{t−1} `[B, ...]`.
      current: I_t `[B, ...]`.
      spike_function: 1[m − θ ≥ 0] with a surrogate derivative.

    Returns:
      The state with v_t, and the spikes s_t ∈ {0, θ} `[B, ...]`.
    """
    membrane = charge(params, state, current)
    spikes = params.threshold * spike_function(membrane - params.threshold)
    return NeuronState(membrane - spikes), spikes
