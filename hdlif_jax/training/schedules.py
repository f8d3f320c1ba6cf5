"""Learning rates by the number of updates: a linear warm-up, then a cosine or steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hdlif_jax.checks import Amount, Count, Positive, check_arguments


@check_arguments
def warmup_cosine(learning_rate: Positive, *, warmup: Amount, total: Count) -> optax.Schedule:
    """Linear warm-up from 1 % of the peak, then cosine to 0.

    Args:
      learning_rate: the peak.
      warmup: updates of the warm-up; all but one at most.
      total: updates of the run.

    Returns:
      A function of the number of updates.

    Raises:
      ValueError: a rate that is not positive, a warm-up below zero, or no update.
    """
    warmup = min(warmup, total - 1)
    schedule = optax.schedules.warmup_cosine_decay_schedule(
        init_value=0.01 * learning_rate if warmup else learning_rate,
        peak_value=learning_rate,
        warmup_steps=warmup,
        decay_steps=total,
    )
    return lambda count: schedule(jnp.asarray(count, jnp.float32))


@check_arguments
def warmup_steps(
    learning_rate: Positive, *, warmup: Amount = 0, milestones: tuple[Amount, ...] = (), factor: Positive = 0.1
) -> optax.Schedule:
    """Linear warm-up from 1 % of the rate, which is then constant but for the milestones.

    Args:
      learning_rate: after the warm-up.
      warmup: updates of the warm-up.
      milestones: updates from which on the rate is another; without any it is constant.
      factor: what the rate is multiplied by at each of them.

    Returns:
      A function of the number of updates.

    Raises:
      ValueError: a rate or factor that is not positive, or updates below zero.
    """
    starts = np.asarray(sorted(milestones), np.int32)
    rates = np.asarray(learning_rate * factor ** np.arange(len(starts) + 1.0), np.float32)

    def schedule(count: jax.typing.ArrayLike) -> jax.Array:
        updates = jnp.asarray(count, jnp.int32)
        rate = jnp.asarray(rates)[jnp.sum(updates >= starts, dtype=jnp.int32)]
        if not warmup:
            return rate
        return rate * (0.01 + 0.99 * jnp.minimum(updates.astype(jnp.float32) / warmup, 1.0))

    return schedule


def rates_of(schedule: optax.Schedule, updates_per_step: int, steps: int) -> np.ndarray:
    """The learning rate at each batch of a run, all at once: asked for within the loop, each would wait for a step."""
    return np.asarray(jax.vmap(schedule)(updates_per_step * jnp.arange(steps, dtype=jnp.int32)))
