"""`jax.vmap` of exported programs, which JAX has no rule for: they take any batch, so the axes become one batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def rollout_of(program: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A program `(arrays, inputs [B, ...]) -> logits [T, B, K]` that can be vmapped over its inputs."""

    @custom_vmap
    def run(arrays: Any, inputs: jax.Array) -> jax.Array:
        return program(arrays, inputs)

    @run.def_vmap
    def _(axis_size: int, in_batched: Any, arrays: Any, inputs: jax.Array) -> tuple[jax.Array, bool]:
        logits = run(arrays, _merged(inputs))
        return jnp.moveaxis(logits.reshape(len(logits), axis_size, -1, logits.shape[-1]), 1, 0), True

    compiled: Callable[..., jax.Array] = jax.jit(run)
    return compiled


def step_of(program: Callable[..., Any]) -> Callable[..., Any]:
    """A program `(arrays, state, t, x_t [B, ...]) -> (state, logits [B, K])`, vmapped over all but arrays."""

    @custom_vmap
    def run(arrays: Any, state: Any, t: jax.Array, x_t: jax.Array) -> Any:
        return program(arrays, state, t, x_t)

    @run.def_vmap
    def _(axis_size: int, in_batched: Any, arrays: Any, state: Any, t: jax.Array, x_t: jax.Array) -> Any:
        def along(leaf: jax.Array, batched: bool) -> jax.Array:
            return leaf if batched else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))

        _, state_batched, t_batched, x_batched = in_batched
        state, x_t = jax.tree.map(along, (state, x_t), (state_batched, x_batched))
        if t_batched:  # each of them is at a step of its own, and a program is at one
            outputs = jax.lax.map(lambda streams: run(arrays, *streams), (state, t, x_t))
        else:
            outputs = run(arrays, jax.tree.map(_merged, state), t, _merged(x_t))
            outputs = jax.tree.map(lambda leaf: leaf.reshape(axis_size, -1, *leaf.shape[1:]), outputs)
        return outputs, jax.tree.map(lambda leaf: True, outputs)

    compiled: Callable[..., Any] = jax.jit(run)
    return compiled


def _merged(leaf: jax.Array) -> jax.Array:
    """`[N, B, ...]` as `[N·B, ...]`."""
    return leaf.reshape(-1, *leaf.shape[2:])
