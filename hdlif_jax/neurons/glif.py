"""Gated LIF (GLIF, Yao et al., NeurIPS 2022): learned gates between two kinds of leak, of integration and of reset."""

from typing import NamedTuple

import chex
import jax

from hdlif_jax.neurons.surrogates import SpikeFunction, rectangle


class GLIFParams(NamedTuple):
    """Parameters of one layer at one time-step, all in (0, 1), broadcastable to the current.

    Attributes:
      leak_gate: α, the share of the exponential leak; 1 − α is that of the linear one.
      current_gate: β, the share of the conductance in the charge; at 0 the current enters as it is.
      reset_gate: γ, the share of the hard reset; 1 − γ is that of the soft one.
      decay: τ, what the exponential leak leaves of the membrane.
      threshold: ϑ.
      leak: ℓ, what the linear leak takes off the membrane.
      reset: ρ, what the soft reset takes off the membrane.
      conductance: g_t, what the gate lets through of the current.
    """

    leak_gate: jax.Array
    current_gate: jax.Array
    reset_gate: jax.Array
    decay: jax.Array
    threshold: jax.Array
    leak: jax.Array
    reset: jax.Array
    conductance: jax.Array


class GLIFState(NamedTuple):
    """What a step leaves: the reset is part of the next charge.

    Attributes:
      membrane: m_t `[B, ...]`, before its reset.
      spikes: s_t `[B, ...]`, 0 or 1.
    """

    membrane: jax.Array
    spikes: jax.Array


def charge(params: GLIFParams, state: GLIFState, current: jax.Array) -> jax.Array:
    """m_t = [1 − α(1 − τ)] m_{t−1} (1 − γ s_{t−1}) − (1 − α) ℓ + [1 − β(1 − g_t)] I_t − (1 − γ) ρ s_{t−1}.

    Args:
      params: of the step.
      state: after step t − 1; zeros start a sequence.
      current: I_t `[B, ...]`.

    Raises:
      AssertionError: state and current of different shapes or types, or not floating.
    """
    chex.assert_type(current, float, custom_message="the current of a neuron is floating")
    chex.assert_equal_shape((*state, current), custom_message="a state has the shape of its current")
    chex.assert_trees_all_equal_dtypes(*state, current, custom_message="a state has the type of its current")
    left = remaining(params) * state.membrane * (1 - params.reset_gate * state.spikes)
    charged = (1 - params.current_gate * (1 - params.conductance)) * current
    return left - (1 - params.leak_gate) * params.leak + charged - (1 - params.reset_gate) * params.reset * state.spikes


def remaining(params: GLIFParams) -> jax.Array:
    """1 − α(1 − τ), what the exponential leak leaves of a membrane."""
    return 1 - params.leak_gate * (1 - params.decay)


def step(
    params: GLIFParams, state: GLIFState, current: jax.Array, *, spike_function: SpikeFunction = rectangle()
) -> tuple[GLIFState, jax.Array]:
    """One time-step: charge, and s_t = 1[m_t > ϑ]; gradients go through s_{t−1} as well.

    Args:
      params: of the step.
      state: after step t − 1; zeros start a sequence.
      current: I_t `[B, ...]`.
      spike_function: 1[m − ϑ > 0] with a surrogate derivative; the authors' is 1 where |m − ϑ| < ½.

    Returns:
      The state after the step, and spikes `[B, ...]`, 0 or 1.

    Example:
      With all gates at 1 it is LIF with a hard reset, whose current is g_t I_t.

      >>> import jax.numpy as jnp
      >>> from hdlif_jax.neurons import glif
      >>> params = glif.GLIFParams(1.0, 1.0, 1.0, decay=0.5, threshold=0.5, leak=0.1, reset=0.3, conductance=1.0)
      >>> start = glif.GLIFState(jnp.zeros(2), jnp.zeros(2))
      >>> state, spikes = glif.step(params, start, jnp.float32([0.5, 0.75]))
      >>> spikes.tolist(), glif.charge(params, state, jnp.zeros(2)).tolist()
      ([0.0, 1.0], [0.25, 0.0])
    """
    membrane = charge(params, state, current)
    spikes = spike_function(membrane - params.threshold, tie=">")
    return GLIFState(membrane, spikes), spikes
