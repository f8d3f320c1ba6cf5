"""Leaky integrate-and-fire (Eq. 1), with the resets, ties and gradients that the field uses."""

import typing
from typing import Literal

import jax

from hdlif_jax.neurons.base import NeuronParams, charge
from hdlif_jax.neurons.surrogates import SpikeFunction, triangle

Reset = Literal["soft", "hard", "none"]  #: of a neuron that has fired: the height is subtracted, zero, or as it was
Tie = Literal[">=", ">"]  #: whether a membrane exactly at its threshold fires
Order = Literal["charge-fire", "fire-charge", "charge-reset-fire"]  #: of a time-step


def step(
    params: NeuronParams,
    potential: jax.Array,
    current: jax.Array,
    *,
    spike_function: SpikeFunction = triangle(),
    height: float | None = None,
    reset: Reset = "soft",
    tie: Tie = ">=",
    detach: bool = False,
    order: Order = "charge-fire",
    relative: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """One time-step: m = λ v + I, s = 1[m ≥ θ], v = m − θ s; by default the spikes are of height θ (Eq. 1).

    Args:
      params: λ and θ.
      potential: v_{t−1} `[B, ...]`; zeros start a sequence.
      current: I_t `[B, ...]`.
      spike_function: 1[m − θ ≥ 0] with a surrogate derivative.
      height: of a spike; None is θ.
      reset: "soft" subtracts θ on firing, "hard" sets to 0, "none" leaves the membrane.
      tie: whether a neuron fires at m = θ (">=") or only above (">").
      detach: whether 1[m ≥ θ] in the reset is a constant to the gradient.
      order: "fire-charge" fires on v_{t−1}, what the step before left, then charges and resets, so that every layer
        answers a step later (DCT-SNN, Garg et al., ICCV 2021); "charge-reset-fire" charges, resets by what the step
        before fired, and fires on what that leaves, so that v_t is the membrane itself: m = λ v + I − θ 1[v ≥ θ]
        (snnTorch, Eshraghian et al., Proc. IEEE 2023).
      relative: whether the spike function reads m / θ − 1 instead of m − θ, so that its derivative is in units of θ.

    Returns:
      v_t, and the spikes s_t ∈ {0, height}, both `[B, ...]`.

    Raises:
      ValueError: an unknown reset, tie or order.

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax.neurons import NeuronParams, lif
      >>> params = NeuronParams(decay=jnp.float32(0.5), threshold=jnp.float32(1.0))
      >>> potential, spikes = lif.step(params, jnp.zeros(3), jnp.float32([0.75, 1.0, 1.5]))
      >>> potential.tolist(), spikes.tolist()
      ([0.75, 0.0, 0.5], [0.0, 1.0, 1.0])
      >>> potential, _ = lif.step(params, jnp.zeros(3), jnp.float32([0.75, 1.0, 1.5]), reset="hard")
      >>> potential.tolist()
      [0.75, 0.0, 0.0]
    """
    if order not in typing.get_args(Order):
        raise ValueError(f"order={order!r} is unknown; choose one of {', '.join(typing.get_args(Order))}")
    if reset not in typing.get_args(Reset):
        raise ValueError(f"reset={reset!r} is unknown; choose one of {', '.join(typing.get_args(Reset))}")

    def fires_at(compared: jax.Array) -> jax.Array:
        # Not m / θ − 1: XLA multiplies by a rounded 1 / θ where θ is a constant, and a neuron at its threshold might
        # fire.
        excess = compared - params.threshold
        return spike_function(excess / params.threshold if relative else excess, tie=tie)

    membrane = charge(params.decay, potential, current)
    fires = fires_at(membrane if order == "charge-fire" else potential)
    resets = jax.lax.stop_gradient(fires) if detach else fires
    left = membrane
    if reset == "soft":
        left = membrane - resets * params.threshold  # of height θ the spike is this, to the last bit
    elif reset == "hard":
        left = membrane * (1 - resets)
    if order == "charge-reset-fire":
        fires = fires_at(left)
    return left, fires * (params.threshold if height is None else height)
