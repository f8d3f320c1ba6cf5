"""What every neuron carries from one time-step to the next, and the parameters it reads at a step."""

from typing import NamedTuple

import jax


class NeuronParams(NamedTuple):
    """Leak and threshold of one layer at one time-step.

    Attributes:
      decay: λ_t in (0, 1), broadcastable to the current.
      threshold: θ_t > 0, broadcastable to the current.
    """

    decay: jax.Array
    threshold: jax.Array


class NeuronState(NamedTuple):
    """State of one neuron layer.

    Only `residual` is dynamics. The other two are `None`, which costs nothing, unless an analysis asks for them.

    Attributes:
      residual: v_t, the membrane potential after the reset, `[B, ...]`; None is the start of a sequence (v_0 = 0)
        and stays None for neurons without memory.
      perturbation: zeros `[B, ...]` added to the membrane of the next step; the gradient of a loss with respect to
        them is ∂L/∂m_t. A step consumes it: the state that it returns has none.
      spikes: the step's output `[B, ...]`, filled in by cells that were asked to record.
    """

    residual: jax.Array | None = None
    perturbation: jax.Array | None = None
    spikes: jax.Array | None = None


def charge(params: NeuronParams, state: NeuronState, current: jax.Array) -> jax.Array:
    """Membrane potential before firing, m_t = λ_t v_{t−1} + I_t (Eq. 1 and 4).

    Args:
      params: leak (and threshold, unused here) of this step.
      state: the residual potential v_{t−1} `[B, ...]`; None stands for zero.
      current: I_t `[B, ...]`.

    Returns:
      m_t `[B, ...]`.
    """
    if state.residual is None:
        return perturb(state, current)
    return perturb(state, params.decay * state.residual + current)


def perturb(state: NeuronState, membrane: jax.Array) -> jax.Array:
    """Adds the state's perturbation, where there is one, to the membrane `[B, ...]`."""
    return membrane if state.perturbation is None else membrane + state.perturbation
