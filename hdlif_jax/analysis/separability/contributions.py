"""How much each step contributes to the gradient of each earlier step of one neuron: ε[i,t] of Definition 4.1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.analysis.separability.inputs import check_neuron, params_at, start_of
from hdlif_jax.neurons import NeuronParams, NeuronStep, charge, hd_lif


class Contributions(NamedTuple):
    """What neurons emitted, and what it tells about each of their time-steps.

    Attributes:
      spikes: s_t `[T, ...]`.
      weights: ε[i,t] `[T, T, ...]`, the derivative ∂s_i/∂m_t along the neuron's own past; zero for i < t. It is read at
        the current, which enters the membrane with weight one; of a neuron that scales its current it is ∂s_i/∂I_t.
    """

    spikes: jax.Array
    weights: jax.Array


def temporal_contributions(step: NeuronStep, params: Any, currents: jax.Array, *, state: Any = None) -> Contributions:
    """ε[i,t] = ∂s_i/∂m_i · Π_{j=t+1…i} ∂m_j/∂m_{j−1} (Definition 4.1) by automatic differentiation.

    Surrogates and straight-through rules count as derivatives, as in training. Reverse mode, so that a step may carry
    a `custom_vjp` as well as a `custom_jvp`. Works inside `jax.jit`, where the values themselves cannot be checked.

    Args:
      step: a neuron of the library or your own, which must treat every entry of `current` as a neuron of its own; for
        the neurons of a network's cell see `neuron_of`.
      params: the neuron's parameters over time, every array `[T, ...]`; step t reads entry t.
      currents: I_t `[T, ...]` of as many independent neurons as you like; float.
      state: before the first step, any pytree of arrays; by default zeros like a current, the library's v_0.

    Returns:
      The spikes `[T, ...]` and ε `[T, T, ...]`.

    Raises:
      TypeError: currents that are no array, or a `step` that does not have the signature above or lets neurons
        influence each other.
      ValueError: T = 1, currents or parameters that are not finite, or shapes that do not fit.
    """
    check_neuron(step, params, currents, state)
    num_steps, first = currents.shape[0], start_of(currents[0], state)

    def emit(currents: jax.Array) -> jax.Array:
        state, spikes = first, []
        for t in range(num_steps):
            state, step_spikes = step(params_at(params, t), state, currents[t])
            spikes.append(step_spikes)
        return jnp.stack(spikes)

    spikes, pullback = jax.vjp(emit, currents)
    # Neurons do not see each other: one cotangent of ones reads the derivatives of all of them.
    steps = jnp.eye(num_steps, dtype=spikes.dtype).reshape(num_steps, num_steps, *[1] * (spikes.ndim - 1))
    (weights,) = jax.vmap(pullback)(jnp.broadcast_to(steps, (num_steps, *spikes.shape)))
    return Contributions(spikes, weights)


def closed_form_contributions(params: NeuronParams, currents: jax.Array) -> Contributions:
    """ε[i,t] = χ[i,i] Π_{j=t+1…i} χ[j,j−1] of an unquantised HD-LIF neuron, without differentiation (Theorem 4.2).

    χ[i,i] = 1[m_i > θ_i] and χ[j,j−1] = λ_j·1[m_{j−1} ≤ θ_{j−1}]: a step that fired has handed nothing on, because
    the reset to θ forgets the membrane. Spike quantisation changes nothing here: its gradient is 1.

    Args:
      params: λ_t and θ_t, each `[T]` or `[T, ...]`.
      currents: I_t `[T, ...]`.

    Returns:
      The unquantised spikes `[T, ...]` and ε `[T, T, ...]`.

    Raises:
      ValueError: as `temporal_contributions`.
    """
    check_neuron(hd_lif.step, params, currents)
    potential, spikes, fires = jnp.zeros_like(currents[0]), [], []
    for t in range(currents.shape[0]):
        params_t = params_at(params, t)
        membrane = charge(params_t.decay, potential, currents[t])
        potential, raw_spikes = hd_lif.fire(membrane, params_t.threshold)
        fires.append(membrane > params_t.threshold)
        spikes.append(raw_spikes)
    return Contributions(jnp.stack(spikes), contributions_of_firing(jnp.stack(fires), params.decay))


def contributions_of_firing(fires: jax.Array, decay: jax.Array) -> jax.Array:
    """The one ε `[T, T, ...]` that HD-LIF neurons with this firing pattern can have, whatever their membranes.

    Args:
      fires: 1[m_t > θ_t] `[T, ...]`.
      decay: λ_t, `[T]` or `[T, ...]`.
    """
    decay = over_neurons(decay, fires.ndim)
    products = jnp.zeros(fires.shape, decay.dtype)
    weights = []
    for t in range(fires.shape[0]):
        if t:
            products = products * jnp.where(fires[t - 1], 0, decay[t])[None]  # times χ[t,t−1]
        products = products.at[t].set(1)  # now Π χ[j,j−1] from each earlier step to this one
        weights.append(jnp.where(fires[t][None], products, 0))
    return jnp.stack(weights)


def over_neurons(over_time: jax.Array, ndim: int) -> jax.Array:
    """`[T]` or `[T, ...]` with axes of size 1 appended, to broadcast against arrays of `ndim` axes."""
    return over_time.reshape(over_time.shape + (1,) * (ndim - over_time.ndim))
