"""Theorem 4.2 as checks that can fail: what an HD-LIF neuron's temporal gradients are known to be."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.analysis.separability.contributions import contributions_of_firing, over_neurons
from hdlif_jax.analysis.separability.inputs import check_finite


class TheoremDeviation(NamedTuple):
    """How far temporal contributions are from what Theorem 4.2 says, each the worst over all neurons and steps.

    Attributes:
      finite_set: of ε[i,t] from χ[i,i] Π χ[j,j−1] with χ[i,i] ∈ {0, 1} and χ[j,j−1] ∈ {0, λ_j}.
      online_from_stbp: statement (i), of the online gradient from the STBP gradient times the ratio of χ.
      stbp_value: statement (ii), of the STBP gradient from Π λ up to the next firing step, or 0 if none follows.
    """

    finite_set: jax.Array
    online_from_stbp: jax.Array
    stbp_value: jax.Array

    @property
    def worst(self) -> jax.Array:
        """The largest of the three, scalar."""
        return jnp.max(jnp.stack(self))


def theorem_deviation(weights: jax.Array, decay: jax.Array) -> TheoremDeviation:
    """Compares temporal contributions with the three claims of Theorem 4.2.

    χ[i,i] is the member of {0, 1} nearest to ε[i,i], and says which steps fire; all the rest follows from it and from
    λ. So nothing is taken from the values under test but one bit per step, and a neuron whose derivative depends on
    the value of its membrane, as LIF's with a surrogate does, deviates. As in Definition 4.1 all steps have the same
    upstream gradient ∂L/∂s, here 1: online is ε[t,t], and STBP is Σ_i ε[i,t].

    Args:
      weights: ε `[T, T, ...]` from `temporal_contributions`.
      decay: λ_t, `[T]` or `[T, ...]`.

    Returns:
      The worst deviations, scalars.

    Raises:
      ValueError: shapes that do not fit.
    """
    num_steps = check_weights(weights)
    neurons = weights.shape[2:]
    fits = 1 <= jnp.ndim(decay) <= weights.ndim - 1 and decay.shape[0] == num_steps
    if not fits or any(size not in (1, of_all) for size, of_all in zip(decay.shape[1:], neurons, strict=False)):
        raise ValueError(
            f"decay has shape {jnp.shape(decay)} but ε is of {num_steps} steps and neurons {neurons}; "
            f"expected ({num_steps},) or {(num_steps, *neurons)}"
        )
    fires = diagonal(weights) > 0.5
    known_weights = contributions_of_firing(fires, decay)

    def backward(following: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """(Π λ to the next firing step, or 0) of step t + 1 to that of step t."""
        fires_t, next_decay = inputs
        value = jnp.where(fires_t, 1, next_decay * following)
        return value, value

    decay = over_neurons(decay, fires.ndim)
    next_decays = jnp.concatenate([decay[1:], jnp.zeros_like(decay[:1])])
    _, known_stbp = jax.lax.scan(
        backward, jnp.zeros(fires.shape[1:], weights.dtype), (fires, next_decays), reverse=True
    )

    online, stbp = diagonal(weights), jnp.sum(weights, axis=0)
    known_sum = jnp.sum(known_weights, axis=0)
    followed = known_sum > 0  # statement (i) is about steps that a firing step follows
    ratio = jnp.where(followed, diagonal(known_weights) / jnp.where(followed, known_sum, 1), 0)
    return TheoremDeviation(
        jnp.max(jnp.abs(weights - known_weights)),
        jnp.max(jnp.where(followed, jnp.abs(online - ratio * stbp), 0)),
        jnp.max(jnp.abs(stbp - known_stbp)),
    )


def diagonal(weights: jax.Array) -> jax.Array:
    """ε[t,t] `[T, ...]`, all that online learning sees, of ε `[T, T, ...]`."""
    return jnp.moveaxis(jnp.diagonal(weights), -1, 0)


def check_weights(weights: jax.Array) -> int:
    """T of ε `[T, T, ...]`; raises ValueError if it is not square in time, has T < 2, or is not finite."""
    if jnp.ndim(weights) < 2 or weights.shape[0] != weights.shape[1] or weights.shape[0] < 2:
        raise ValueError(
            f"ε has shape {jnp.shape(weights)}; expected [T, T, ...] with T ≥ 2, from temporal_contributions"
        )
    check_finite("ε", weights)
    return weights.shape[0]
