"""Hybrid-driven LIF: emit the excess over the threshold, reset to the threshold (Eq. 4)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hdlif_jax.neurons.base import NeuronParams, charge


def fire(membrane: jax.Array, threshold: jax.Array) -> tuple[jax.Array, jax.Array]:
    """P2-Reset: splits the membrane into what stays, min(m, θ), and what is emitted, max(m − θ, 0).

    The derivatives are written out by the selection, so that at the tie m = θ they are those of the silent side:
    ∂s*/∂m = 0 and ∂v/∂m = 1 on (−∞, θ]; ∂s*/∂m = 1 and ∂v/∂m = 0 on (θ, ∞).

    Args:
      membrane: m_t `[B, ...]`.
      threshold: θ_t, broadcastable to the membrane.

    Returns:
      v_t and the unquantised spikes s*_t, both `[B, ...]`.
    """
    fires = membrane > threshold
    potential = jnp.where(fires, threshold, membrane)
    raw_spikes = jnp.where(fires, membrane - threshold, 0)
    return potential, raw_spikes


def step(
    params: NeuronParams,
    potential: jax.Array,
    current: jax.Array,
    *,
    quantize: Callable[[jax.Array], jax.Array] = lambda raw_spikes: raw_spikes,
) -> tuple[jax.Array, jax.Array]:
    """One time-step: m = λ_t v + I, s* = m − θ_t if m ≥ θ_t else 0, v = m − s*, s = Q(s*) (Eq. 4).

    The reset uses the unquantised s*.

    Args:
      params: λ_t and θ_t.
      potential: v_{t−1} `[B, ...]`; zeros start a sequence.
      current: I_t `[B, ...]`.
      quantize: Q; the identity by default.

    Returns:
      v_t ≤ θ_t and the spikes s_t ≥ 0, both `[B, ...]`.

    Example:
      One neuron stays silent, the other emits what is above its threshold and keeps the threshold.

      >>> import jax.numpy as jnp
      >>> from hdlif_jax.neurons import NeuronParams, hd_lif
      >>> params = NeuronParams(decay=jnp.float32(0.5), threshold=jnp.float32(1.0))
      >>> potential, spikes = hd_lif.step(params, jnp.float32([0.5, 1.0]), jnp.float32([0.25, 2.0]))
      >>> potential.tolist(), spikes.tolist()
      ([0.5, 1.0], [0.0, 1.5])
    """
    potential, raw_spikes = fire(charge(params.decay, potential, current), params.threshold)
    return potential, quantize(raw_spikes)
