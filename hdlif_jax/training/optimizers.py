"""Optimisers with the paper's schedule, that leave the per-step parameters of other time-steps alone."""

import jax
import jax.numpy as jnp
import optax

from hdlif_jax.nn import Params
from hdlif_jax.training.config import OptimizerConfig


def warmup_cosine(config: OptimizerConfig, updates_per_epoch: int, epochs: int) -> optax.Schedule:
    """Linear warm-up from 1 % of the peak, then cosine to 0, as a function of the number of updates."""
    total = updates_per_epoch * epochs
    warmup = min(round(config.warmup_epochs * updates_per_epoch), total - 1)
    schedule = optax.schedules.warmup_cosine_decay_schedule(
        init_value=0.01 * config.learning_rate if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=total,
    )
    return lambda count: schedule(jnp.asarray(count, jnp.float32))


def make_optimizer(
    config: OptimizerConfig, schedule: optax.Schedule, per_step: Params
) -> optax.GradientTransformationExtraArgs:
    """The optimiser of a network.

    Its `update` takes the keyword `learned` `[T]`, the steps that gave a gradient. Momentum and weight decay would
    also move per-step parameters of the other steps, whose gradient is exactly zero: their entries, and the entries
    of their moments, stay as they are.

    Args:
      config: rule and hyper-parameters.
      schedule: learning rate by number of updates.
      per_step: True at the parameters that are indexed by time, as in `Network.per_step`.
    """

    # Matrices and filters decay; scales, shifts, biases and neuron parameters do not, unless asked to.
    def decays(params):
        return jax.tree.map(
            lambda leaf, by_time: config.decay_all or (leaf.ndim >= 2 and not by_time), params, per_step
        )

    if config.name == "sgd":
        rule = optax.chain(
            optax.add_decayed_weights(config.weight_decay, decays),
            optax.sgd(schedule, config.momentum, nesterov=True),
        )
    else:
        rule = optax.adamw(schedule, b1=config.momentum, weight_decay=config.weight_decay, mask=decays)
    return only_learned_steps(rule, per_step)


def only_learned_steps(rule: optax.GradientTransformation, per_step: Params) -> optax.GradientTransformationExtraArgs:
    """Restricts the updates of per-step parameters, and of what `rule` remembers of them, to the learned steps.

    Args:
      rule: any optax transformation.
      per_step: True at the parameters `[T, ...]` that are indexed by time.

    Returns:
      A transformation whose `update` takes `learned`, `[T]` bool.
    """

    def keep(by_time: bool, new: jax.Array, old: jax.Array, learned: jax.Array) -> jax.Array:
        return jnp.where(learned.reshape(-1, *[1] * (new.ndim - 1)), new, old) if by_time else new

    def update(grads, state, params=None, *, learned, **extra):
        updates, new_state = rule.update(grads, state, params, **extra)
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
        new_state = jax.tree.map(lambda *leaves: keep(*leaves, learned), by_time_in_state, new_state, state)
        return updates, new_state

    return optax.GradientTransformationExtraArgs(rule.init, update)
