"""How constant ε is, and what it costs to put the online gradient in the place of STBP."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.analysis.separability.theorem import check_weights, diagonal


def separability_index(weights: jax.Array) -> jax.Array:
    """1 − (Σε)² / (n Σε²) over the n active entries ε[i,t] ≠ 0: 0 if they are one constant, towards 1 the wider spread.

    Definition 4.1 calls the backward gradient separable if ε[i,t] is a constant. The index is the share of Σε² that
    the best constant leaves unexplained, min_c Σ(ε − c)² / Σε². In other words it is the squared sine of the angle
    between ε and the constant vector, CV²/(1 + CV²) of the coefficient of variation CV, and 1 − n_eff/n with Kish's
    effective sample size n_eff = (Σε)²/Σε² (Survey Sampling, 1965). Zeros stay out: they say whether a step teaches
    another at all, which the firing pattern decides and both online and STBP know; the index asks how unequally the
    others teach. It does not change when ε is scaled.

    Range: by Cauchy and Schwarz, 0 ≤ (Σ 1·ε)² ≤ Σ1² · Σε² = n Σε², so the quotient is in [0, 1] and so is the index.
    It is 0 exactly where ε is parallel to the constant vector, that is, where all n entries are equal; and 1 exactly
    where they sum to 0, which needs both signs. For entries of one sign with max|ε| ≤ r·min|ε|, it is at most
    ((r − 1)/(r + 1))² (Kantorovich), so below 1. Without an active entry ε is the constant 0, and the index 0.

    Args:
      weights: ε `[T, T, ...]`; all neurons count together.

    Returns:
      Scalar in [0, 1].

    Raises:
      ValueError: `weights` is not `[T, T, ...]`.
    """
    check_weights(weights)
    largest = jnp.max(jnp.abs(weights), initial=0)
    scaled = weights / jnp.where(largest > 0, largest, 1)  # the index keeps its value, and squares do not underflow
    active = scaled != 0
    count = jnp.maximum(jnp.sum(active, dtype=weights.dtype), 1)
    mean = jnp.sum(scaled) / count
    energy = jnp.sum(scaled**2)
    spread = jnp.sum(jnp.where(active, scaled - mean, 0) ** 2)  # = Σε² − (Σε)²/n, without its cancellation
    index = jnp.minimum(spread / jnp.where(energy == 0, 1, energy), 1)
    return jnp.where(energy == 0, 0, index)  # not `> 0`, which would call an ε of NaN, unseen inside jit, a constant


def distinct_values(weights: jax.Array, tolerance: float = 1e-6) -> np.ndarray:
    """The distinct values of ε[i,t], i ≥ t, in rising order, one for each group that spans at most `tolerance`.

    Args:
      weights: ε `[T, T, ...]`.
      tolerance: floats that are this near to each other count as one value.

    Raises:
      ValueError: `weights` is not `[T, T, ...]`.
    """
    num_steps = check_weights(weights)
    values = np.unique(np.asarray(weights)[np.tril_indices(num_steps)])
    distinct, start = [], 0
    while start < len(values):
        distinct.append(values[start])
        start = int(np.searchsorted(values, values[start] + tolerance, side="right"))
    return np.array(distinct)


class OnlineError(NamedTuple):
    """Error of the online gradient in the place of the STBP gradient ∂L/∂m_t, with ∂L/∂s = 1 at all steps.

    Attributes:
      silent: root mean square over the steps that emit nothing; 0 if there are none.
      firing: root mean square over the steps that emit a spike; 0 if there are none.
      relative: norm of the error over the norm of the STBP gradient, all steps; 0 if both are zero.
      silent_share: share of the squared error that comes from silent steps; 0 if there is no error.
    """

    silent: jax.Array
    firing: jax.Array
    relative: jax.Array
    silent_share: jax.Array


def online_error(weights: jax.Array, spikes: jax.Array) -> OnlineError:
    """Splits the error ε[t,t] − Σ_i ε[i,t] of the online gradient into silent and firing steps.

    For HD-LIF the error at firing steps is exactly 0, because a neuron reset to its threshold hands nothing on. LIF
    hands on what the spike leaves, so it errs at firing steps too.

    Args:
      weights: ε `[T, T, ...]`.
      spikes: s_t `[T, ...]`, best without quantisation, which rounds weak spikes to silence.

    Raises:
      ValueError: shapes that do not fit.
    """
    check_weights(weights)
    if spikes.shape != weights.shape[1:]:
        raise ValueError(f"spikes have shape {spikes.shape} but ε has {weights.shape}; expected {weights.shape[1:]}")
    stbp = jnp.sum(weights, axis=0)
    squared = (diagonal(weights) - stbp) ** 2
    fired = spikes != 0

    def root_mean(mask: jax.Array) -> jax.Array:
        count = jnp.sum(mask, dtype=squared.dtype)
        return jnp.sqrt(jnp.sum(jnp.where(mask, squared, 0)) / jnp.maximum(count, 1))

    def share(part: jax.Array, whole: jax.Array) -> jax.Array:
        return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)

    total = jnp.sum(squared)
    return OnlineError(
        root_mean(~fired),
        root_mean(fired),
        jnp.sqrt(share(total, jnp.sum(stbp**2))),
        share(jnp.sum(jnp.where(fired, 0, squared)), total),
    )
