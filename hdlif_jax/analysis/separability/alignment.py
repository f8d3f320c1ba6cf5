"""Alignment along space: is the derivative that training uses the slope of what the neuron really emits?"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.analysis.separability.inputs import check_finite, check_params, check_step, start_of
from hdlif_jax.neurons import NeuronStep


class Alignment(NamedTuple):
    """The derivative of a neuron's spike against the finite difference of its real, quantised response.

    Attributes:
      derivative: ∂s/∂m as differentiation has it, surrogate or straight-through, `[...]`.
      response: (s(m + r) − s(m − r)) / 2r, forward passes only, `[...]`.
      cosine: of the angle between the two over all membranes; 1 if both are zero, 0 if one is.
      relative_error: ‖derivative − response‖ / ‖response‖; infinite if only the response is zero.
    """

    derivative: jax.Array
    response: jax.Array
    cosine: jax.Array
    relative_error: jax.Array


def spatial_alignment(
    step: NeuronStep, params_t: Any, membranes: jax.Array, *, state: Any = None, radius: float = 0.125
) -> Alignment:
    """Compares a neuron's derivative with the finite-difference response of its forward pass (Section 4.1).

    LIF's step of height θ answers θ/2r within r of the threshold and nothing elsewhere: a surrogate that is not this
    very box is misaligned, and the further, the smaller r. HD-LIF's staircase answers 1 on average above the threshold,
    up to the highest level of Q, as its straight-through gradient says; unquantised, exactly so at a distance r.

    Args:
      step: a neuron of the library or your own, with its quantiser, as in `temporal_contributions`.
      params_t: the neuron's parameters at one step.
      membranes: m `[...]` to ask at, which are the currents that charge a neuron at rest; float.
      state: at rest, any pytree of arrays; zeros like the membranes by default.
      radius: r > 0 of the finite difference; below half a level of Q, 1/8 by default, single levels show.

    Raises:
      TypeError: `step` does not have the signature, or lets neurons influence each other.
      ValueError: membranes or parameters that are not finite, or a radius that is not positive.
    """
    if not radius > 0:
        raise ValueError(
            f"radius={radius} must be positive: it is the step of the finite difference, e.g. radius=0.125"
        )
    check_finite("membranes", membranes)
    check_params(params_t)
    check_step(step, params_t, membranes, state)
    rest = start_of(membranes, state)

    def emit(membranes: jax.Array) -> jax.Array:
        _, spikes = step(params_t, rest, membranes)
        return spikes

    spikes, pullback = jax.vjp(emit, membranes)
    (derivative,) = pullback(jnp.ones_like(spikes))
    offset = jnp.full_like(membranes, radius)
    response = (emit(membranes + offset) - emit(membranes - offset)) / (2 * offset)
    norms = jnp.linalg.norm(derivative.reshape(-1)), jnp.linalg.norm(response.reshape(-1))
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    product = norms[0] * norms[1]
    cosine = jnp.sum(derivative * response) / jnp.where(product > 0, product, 1)
    error = jnp.linalg.norm((derivative - response).reshape(-1))
    return Alignment(
        derivative,
        response,
        jnp.where(both_zero, 1, jnp.clip(cosine, -1, 1)),
        jnp.where(norms[1] > 0, error / jnp.where(norms[1] > 0, norms[1], 1), jnp.where(error > 0, jnp.inf, 0)),
    )
