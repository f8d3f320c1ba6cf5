"""Loops over time, and the inputs that they read."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Params, SpikingNetwork


class Prepared(NamedTuple):
    """What is computed once per batch, before the first time-step.

    Attributes:
      params: parameters with their kernels quantised.
      current: the stem's current of a static image `[B, H, W, C]`; None for event input, whose stem runs every step.
    """

    params: Params
    current: jax.Array | None


def is_static(network: Network | SpikingNetwork, inputs: jax.Array) -> bool:
    """Whether `inputs` is one batch of images `[B, ...]` and not a sequence `[T, B, ...]`.

    Raises:
      ValueError: neither shape fits the network, or T is not its number of time-steps.
    """
    shape = network.input_shape
    sequence = inputs.ndim == len(shape) + 2
    if inputs.ndim not in (len(shape) + 1, len(shape) + 2) or inputs.shape[inputs.ndim - len(shape) :] != shape:
        expected = ", ".join(str(size) for size in shape)
        raise ValueError(
            f"inputs have shape {inputs.shape}; expected [B, {expected}] for static inputs "
            f"or [{network.num_steps}, B, {expected}] for sequences"
        )
    if sequence and inputs.shape[0] != network.num_steps:
        raise ValueError(
            f"inputs have {inputs.shape[0]} time-steps but the network has {network.num_steps}; "
            f"build it with num_steps={inputs.shape[0]} or integrate the events into {network.num_steps} frames"
        )
    return not sequence


def batch_size(network: Network | SpikingNetwork, inputs: jax.Array) -> int:
    """B of static or sequence inputs."""
    return inputs.shape[0] if is_static(network, inputs) else inputs.shape[1]


def prepare(network: Network, params: Params, batch_stats: Params, inputs: jax.Array) -> tuple[Prepared, Params]:
    """Quantises the kernels and, for static images, runs the stem; returns the new batch statistics too."""
    params = network.quantize(params)
    if not is_static(network, inputs):
        return Prepared(params, None), batch_stats
    current, batch_stats = network.encode(params, batch_stats, inputs)
    return Prepared(params, current), batch_stats


def forward_step(network: Network, prepared: Prepared, batch_stats: Params, state, inputs: jax.Array, t):
    """One time-step on prepared parameters: `(state, logits [B, K], batch_stats)`."""
    current = prepared.current
    if current is None:
        current, batch_stats = network.encode(prepared.params, batch_stats, inputs[t])
    return network.step(prepared.params, batch_stats, state, current, t)


def fold_steps(body: Callable, carry, num_steps: int, *, unroll: bool | None = None):
    """`carry = body(t, carry)` for t = 0…T−1, for bodies that contain the gradient of a convolution.

    XLA's CPU backend runs such a gradient about 80 times slower inside a rolled loop than outside it. Unrolled, it
    would interleave the steps and hold the memory of all of them, so each waits for the one before (`finish_step`).

    Args:
      body: `(t, carry) -> carry`.
      carry: any pytree.
      num_steps: T.
      unroll: None unrolls on CPU and rolls elsewhere.
    """
    if unroll is None:
        unroll = jax.default_backend() == "cpu"
    if not unroll:
        return jax.lax.fori_loop(0, num_steps, body, carry)
    for t in range(num_steps):
        carry = finish_step(body(jnp.int32(t), carry))
    return carry


def finish_step(carry):
    """The same carry, no part of which can be used before all of it is computed.

    The carry goes through a loop that adds zero to it once. `optimization_barrier` would say the same in one word, but
    the CPU backend of jax 0.10 drops it before it schedules, and then holds the memory of all steps at once. Nothing
    can be moved across a loop whose number of turns (one, if the carry is finite) is known only when it runs.
    """
    floats = [leaf for leaf in jax.tree.leaves(carry) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if not floats:
        return carry
    probe = floats[0].ravel()[0]
    turns, zero = jnp.isfinite(probe).astype(jnp.int32), 0 * probe

    def add_zero(_, carry):
        return jax.tree.map(
            lambda leaf: leaf + zero.astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, carry
        )

    return jax.lax.fori_loop(0, turns, add_zero, carry)


def check_labels(logits_shape: tuple[int, ...], labels: jax.Array) -> None:
    """Checks the shape of integer labels `[B]` or label distributions `[B, K]` against logits `[B, K]`.

    Raises:
      ValueError: they do not fit.
    """
    if labels.shape not in (logits_shape[:1], logits_shape):
        raise ValueError(f"labels have shape {labels.shape}; expected {logits_shape[:1]} integers or {logits_shape}")
