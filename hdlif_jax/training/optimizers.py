"""Optimisers that leave the per-step parameters of other time-steps alone, and the paper's schedule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hdlif_jax.checks import Amount, Count, Positive, check_arguments
from hdlif_jax.nn import Params


@check_arguments
def warmup_cosine(learning_rate: Positive, *, warmup: Amount, total: Count) -> optax.Schedule:
    """Linear warm-up from 1 % of the peak, then cosine to 0.

    Args:
      learning_rate: the peak.
      warmup: updates of the warm-up; all but one at most.
      total: updates of the run.

    Returns:
      A function of the number of updates.
    """
    warmup = min(warmup, total - 1)
    schedule = optax.schedules.warmup_cosine_decay_schedule(
        init_value=0.01 * learning_rate if warmup else learning_rate,
        peak_value=learning_rate,
        warmup_steps=warmup,
        decay_steps=total,
    )
    return lambda count: schedule(jnp.asarray(count, jnp.float32))


def decaying_kernels(per_step: Params) -> Callable[[Params], Params]:
    """A mask for weight decay: matrices and filters; neither scales, shifts and biases nor neuron parameters.

    Args:
      per_step: True at the parameters that are indexed by time, as in `Network.per_step`.
    """
    return lambda params: jax.tree.map(lambda leaf, by_time: leaf.ndim >= 2 and not by_time, params, per_step)


def only_learned_steps(rule: optax.GradientTransformation, per_step: Params) -> optax.GradientTransformationExtraArgs:
    """Restricts the updates of per-step parameters, and of what `rule` remembers of them, to the learned steps.

    Momentum and weight decay would also move per-step parameters of the other steps, whose gradient is exactly zero:
    their entries, and the entries of their moments, stay as they are.

    Args:
      rule: any optax transformation.
      per_step: True at the parameters `[T, ...]` that are indexed by time, as in `Network.per_step`.

    Returns:
      A transformation whose `update` takes `learned`, `[T]` bool, the steps that gave a gradient.
    """

    def keep(by_time: bool, new: jax.Array, old: jax.Array, learned: jax.Array) -> jax.Array:
        return jnp.where(learned.reshape(-1, *[1] * (new.ndim - 1)), new, old) if by_time else new

    def update(
        grads: Params, state: Any, params: Params | None = None, *, learned: jax.Array, **extra: Any
    ) -> tuple[Params, Any]:
        updates, new_state = optax.with_extra_args_support(rule).update(grads, state, params, **extra)
        updates = jax.tree.map(
            lambda by_time, update: keep(by_time, update, jnp.zeros_like(update), learned), per_step, updates
        )
        # Momentum and second moments belong to parameters, wherever the rule keeps them; counters do not. What a mask
        # leaves out of a part of the rule has no moment there.
        by_time_in_state = optax.tree_utils.tree_map_params(
            rule,
            lambda leaf, by_time: leaf if isinstance(leaf, optax.MaskedNode) else by_time,
            new_state,
            per_step,
            transform_non_params=lambda leaf: False,
            is_leaf=lambda node: isinstance(node, optax.MaskedNode),
        )
        new_state = jax.tree.map(
            lambda by_time, new, old: keep(by_time, new, old, learned), by_time_in_state, new_state, state
        )
        return updates, new_state

    return optax.GradientTransformationExtraArgs(rule.init, update)
