"""Parallel HD-LIF: no leak, no charge, no memory, one addition per step (Section 4.2)."""

from collections.abc import Callable

import chex
import jax

from hdlif_jax.neurons.hd_lif import fire


def step(
    threshold: jax.Array,
    state: tuple[()],
    current: jax.Array,
    *,
    quantize: Callable[[jax.Array], jax.Array] = lambda raw_spikes: raw_spikes,
) -> tuple[tuple[()], jax.Array]:
    """One time-step: s* = I − θ_t if I ≥ θ_t else 0, s = Q(s*).

    The authors' code always reads θ_1 here; this reads θ_t, as the paper says.

    Args:
      threshold: θ_t, broadcastable to the current.
      state: empty, handed through so that all neurons share one signature.
      current: I_t `[B, ...]`.
      quantize: Q; the identity by default.

    Returns:
      The empty state, and the spikes s_t ≥ 0 `[B, ...]`.

    Raises:
      AssertionError: a current that is not floating.
    """
    chex.assert_type(current, float, custom_message="the current of a neuron is floating")
    _, raw_spikes = fire(current, threshold)
    return state, quantize(raw_spikes)
