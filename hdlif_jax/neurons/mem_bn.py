"""Mem-BN HD-LIF: HD-LIF on a partly normalised membrane, in training and in inference form (Eqs. 6-8)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.neurons.base import NeuronParams, charge
from hdlif_jax.neurons.hd_lif import fire

EPSILON = 1e-5  #: is added to a variance


class MemBNParams(NamedTuple):
    """Parameters of the membrane normaliser at one time-step.

    Attributes:
      membrane_weight: α_t, scalar; the share of the membrane itself.
      normalized_weight: β_t, scalar; the share of the normalised membrane.
      scale: γ_t `[C]`.
      shift: b_t `[C]`.
    """

    membrane_weight: jax.Array
    normalized_weight: jax.Array
    scale: jax.Array
    shift: jax.Array


class Moments(NamedTuple):
    """Mean μ_t and (biased) variance σ_t² of the membrane per channel, both `[C]`."""

    mean: jax.Array
    variance: jax.Array


def batch_moments(membrane: jax.Array) -> Moments:
    """Moments of the membrane `[B, ..., C]` over batch and space."""
    axes = tuple(range(membrane.ndim - 1))
    mean = jnp.mean(membrane, axes, keepdims=True)
    variance = jnp.mean(jnp.square(membrane - mean), axes)
    return Moments(mean.reshape(-1), variance)


def normalize(params: MemBNParams, moments: Moments, membrane: jax.Array) -> jax.Array:
    """m̂ = α m + β BN(m) (Eq. 6), `[B, ..., C]` to `[B, ..., C]`."""
    channels = (1,) * (membrane.ndim - 1) + (-1,)
    gain = (params.scale * jax.lax.rsqrt(moments.variance + EPSILON)).reshape(channels)
    normalized = gain * (membrane - moments.mean.reshape(channels)) + params.shift.reshape(channels)
    return params.membrane_weight * membrane + params.normalized_weight * normalized


def training_step(
    neuron_params: NeuronParams,
    mem_bn_params: MemBNParams,
    potential: jax.Array,
    current: jax.Array,
    *,
    quantize: Callable[[jax.Array], jax.Array] = lambda raw_spikes: raw_spikes,
) -> tuple[jax.Array, jax.Array, Moments]:
    """One time-step that normalises with the batch's own moments (Eq. 6).

    Args:
      neuron_params: λ_t and θ_t.
      mem_bn_params: α_t, β_t, γ_t and b_t.
      potential: v_{t−1} `[B, ..., C]`; zeros start a sequence.
      current: I_t `[B, ..., C]`.
      quantize: Q; the identity by default.

    Returns:
      v_t and the spikes s_t `[B, ..., C]`, and the moments for the running statistics of step t.
    """
    membrane = charge(neuron_params.decay, potential, current)
    moments = batch_moments(membrane)
    potential, raw_spikes = fire(normalize(mem_bn_params, moments, membrane), neuron_params.threshold)
    return potential, quantize(raw_spikes), moments


def inference_step(
    neuron_params: NeuronParams,
    mem_bn_params: MemBNParams,
    moments: Moments,
    potential: jax.Array,
    current: jax.Array,
    *,
    quantize: Callable[[jax.Array], jax.Array] = lambda raw_spikes: raw_spikes,
) -> tuple[jax.Array, jax.Array]:
    """One time-step that normalises with the recorded moments of step t (Eq. 6); arguments as in `training_step`."""
    membrane = normalize(mem_bn_params, moments, charge(neuron_params.decay, potential, current))
    potential, raw_spikes = fire(membrane, neuron_params.threshold)
    return potential, quantize(raw_spikes)


class Reparameterized(NamedTuple):
    """A Mem-BN HD-LIF as vanilla HD-LIF on an affine current: m̂ = λ̂ v + (α* I − β*) (Eq. 8).

    Attributes:
      decay: λ̂_t = α*_t λ_t `[C]`.
      current_scale: α*_t `[C]`.
      current_shift: −β*_t `[C]`, to be added.
    """

    decay: jax.Array
    current_scale: jax.Array
    current_shift: jax.Array


def reparameterize(decay: jax.Array, mem_bn_params: MemBNParams, moments: Moments) -> Reparameterized:
    """Folds the membrane normaliser of one time-step into leak and current (Eqs. 7-8).

    Args:
      decay: λ_t, scalar or `[C]`.
      mem_bn_params: α_t, β_t, γ_t and b_t.
      moments: the recorded μ_t and σ_t².

    Returns:
      λ̂_t, α*_t and −β*_t.
    """
    gain = mem_bn_params.scale * jax.lax.rsqrt(moments.variance + EPSILON)
    current_scale = mem_bn_params.membrane_weight + mem_bn_params.normalized_weight * gain
    current_shift = -mem_bn_params.normalized_weight * (gain * moments.mean - mem_bn_params.shift)
    return Reparameterized(current_scale * decay, current_scale, current_shift)
