"""What the neurons share: their parameters at a step, and the charge of the membrane."""

from typing import Any, NamedTuple, Protocol

import chex
import jax


class NeuronParams(NamedTuple):
    """Leak and threshold of one layer at one time-step.

    Attributes:
      decay: λ_t in (0, 1), broadcastable to the current.
      threshold: θ_t > 0, broadcastable to the current.
    """

    decay: jax.Array
    threshold: jax.Array


class NeuronStep(Protocol):
    """The dynamics of a neuron; every entry of the current is a neuron of its own.

    The state is any pytree of arrays; that of the library's neurons is the potential v_t `[B, ...]`, or empty. As the
    current enters the membrane with weight one, the gradient of a loss with respect to it is ∂L/∂m_t.
    """

    def __call__(self, params_t: Any, state: Any, current: jax.Array, /) -> tuple[Any, jax.Array]:
        """Parameters of step t, the state after step t − 1 and I_t `[B, ...]` to the new state and s_t `[B, ...]`."""


def charge(decay: jax.Array, potential: jax.Array, current: jax.Array) -> jax.Array:
    """Membrane potential before firing, m_t = λ_t v_{t−1} + I_t (Eq. 1 and 4).

    Args:
      decay: λ_t, broadcastable to the current.
      potential: v_{t−1} `[B, ...]`, what the reset left.
      current: I_t `[B, ...]`.

    Returns:
      m_t `[B, ...]`.

    Raises:
      AssertionError: potential and current of different shapes or types, or not floating.
    """
    chex.assert_type(current, float, custom_message="the current of a neuron is floating")
    chex.assert_equal_shape((potential, current), custom_message="a potential has the shape of its current")
    chex.assert_trees_all_equal_dtypes(potential, current, custom_message="a potential has the type of its current")
    return decay * potential + current
