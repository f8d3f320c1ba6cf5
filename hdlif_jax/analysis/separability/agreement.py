"""How alike two gradients are, from sums that add up from parameters to layers to the whole network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Values = np.ndarray | np.float64


class Agreement(NamedTuple):
    """An estimate of a gradient against a reference; float64 scalars, or arrays of equal shape.

    Attributes:
      cosine: of the angle between them; 1 if both are zero, 0 if one is.
      relative_error: ‖estimate − reference‖ / ‖reference‖; infinite if only the reference is zero.
      sign_agreement: share of the entries with equal signs, among those where at least one is not zero.
      norm_ratio: ‖estimate‖ / ‖reference‖; 1 if both are zero, infinite if only the reference is.
    """

    cosine: np.ndarray
    relative_error: np.ndarray
    sign_agreement: np.ndarray
    norm_ratio: np.ndarray


class AgreementSums(NamedTuple):
    """What `Agreement` needs, as sums over entries: the sums of a layer are the sums over its parameters."""

    product: jax.Array
    estimate_square: jax.Array
    reference_square: jax.Array
    error_square: jax.Array
    equal_signs: jax.Array
    active: jax.Array


def agreement_sums(estimates: jax.Array, references: jax.Array) -> AgreementSums:
    """The sums over the last axis of estimates `[N, P]` and references `[N, P]` or `[1, P]`, each `[N]`."""
    active = (estimates != 0) | (references != 0)
    equal = active & (jnp.sign(estimates) == jnp.sign(references))
    return AgreementSums(
        jnp.sum(estimates * references, axis=1),
        jnp.sum(estimates**2, axis=1),
        jnp.broadcast_to(jnp.sum(references**2, axis=1), estimates.shape[:1]),
        jnp.sum((estimates - references) ** 2, axis=1),
        jnp.sum(equal, axis=1, dtype=estimates.dtype),
        jnp.sum(active, axis=1, dtype=estimates.dtype),
    )


def agreement(sums: AgreementSums) -> Agreement:
    """The measures of agreement from their sums, arrays of any equal shape."""
    product, estimate_square, reference_square, error_square, equal, active = (np.float64(part) for part in sums)
    estimate, reference = np.sqrt(estimate_square), np.sqrt(reference_square)
    return Agreement(
        cosine(product, estimate_square, reference_square),
        relative(np.sqrt(error_square), reference),
        np.where(active > 0, equal / np.maximum(active, 1), 1),
        norm_ratio(estimate, reference),
    )


def cosine(product: Values, estimate_square: Values, reference_square: Values) -> np.ndarray:
    """Of the angle, from the inner product and the squared norms; 1 if both are zero, 0 if one is."""
    norms = np.sqrt(estimate_square) * np.sqrt(reference_square)
    both_zero = (estimate_square == 0) & (reference_square == 0)
    # `== 0` and not `> 0`, here and below: a gradient that is NaN is not like one of zeros.
    return np.clip(np.where(norms == 0, both_zero, product / np.where(norms == 0, 1, norms)), -1, 1)


def norm_ratio(estimate: Values, reference: Values) -> np.ndarray:
    """Estimate / reference; 1 if both are zero, infinite if only the reference is."""
    return np.where((estimate == 0) & (reference == 0), 1, relative(estimate, reference))


def relative(size: Values, reference: Values) -> np.ndarray:
    """Size / reference; 0 if both are zero, infinite if only the reference is."""
    quotient = size / np.where(reference == 0, 1, reference)
    return np.where(reference == 0, np.where(size == 0, 0.0, np.inf), quotient)
