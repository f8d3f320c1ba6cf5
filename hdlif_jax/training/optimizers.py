"""Optimisers that leave the per-step parameters of other time-steps alone, and the paper's schedule."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hdlif_jax.checks import Amount, Count, Positive, check_arguments
from hdlif_jax.nn import Params

Optimizer: TypeAlias = optax.GradientTransformation | optax.MultiSteps
HOW = "give the per-step parameters another, such as optax.adam, by optax.multi_transform"


def check_optimizer(optimizer: Any) -> None:
    """Raises TypeError for what is no optax transformation, such as a function that makes one."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")) or inspect.isclass(optimizer):
        name = getattr(optimizer, "__name__", None)
        what = f"{name} is not called yet; write {name}(...)" if name else f"{optimizer!r} is no optax transformation"
        raise TypeError(f"optimizer={what}, e.g. optax.sgd(0.1, momentum=0.9)")


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


def rates_of(schedule: optax.Schedule, updates_per_step: int, steps: int) -> np.ndarray:
    """The learning rate at each batch of a run, all at once: asked for within the loop, each would wait for a step."""
    return np.asarray(jax.vmap(schedule)(updates_per_step * jnp.arange(steps, dtype=jnp.int32)))


def decaying_kernels(per_step: Params) -> Callable[[Params], Params]:
    """A mask for weight decay: matrices and filters; neither scales, shifts and biases nor neuron parameters.

    Args:
      per_step: True at the parameters that are indexed by time, as in `Network.per_step`.
    """
    return lambda params: jax.tree.map(lambda leaf, by_time: leaf.ndim >= 2 and not by_time, params, per_step)


class Accumulating(NamedTuple):
    """The state of a rule that collects the gradients of several batches for one update.

    Attributes:
      inner: of the rule.
      learned: `[T]` bool, the steps that learned since the last update.
    """

    inner: Any
    learned: jax.Array


def only_learned_steps(rule: Optimizer, per_step: Params) -> optax.GradientTransformationExtraArgs:
    """Restricts the updates of per-step parameters, and of what `rule` remembers of them, to the learned steps.

    Momentum and weight decay would also move per-step parameters of the other steps, whose gradient is exactly zero:
    their entries, and the entries of their moments, stay as they are. What a rule keeps of a parameter as a whole, such
    as a norm, moves. Where it collects the gradients of several batches (`optax.MultiSteps`, `optax.apply_every`), the
    learned steps are those of all of them.

    Args:
      rule: any optax transformation that keeps what it remembers of a parameter by time or as a whole.
      per_step: True at the parameters `[T, ...]` that are indexed by time, as in `Network.per_step`.

    Returns:
      A transformation whose `update` takes `learned`, `[T]` bool, the steps that gave a gradient.

    Raises:
      TypeError: no optax transformation.
      ValueError: when it is initialised, a rule whose memory of the per-step parameters is not by time.
    """
    check_optimizer(rule)
    if not any(jax.tree.leaves(per_step)):
        return _without_time(rule)

    def keep(by_time: bool, new: jax.Array, old: jax.Array, learned: jax.Array) -> jax.Array:
        return jnp.where(learned.reshape(-1, *[1] * (new.ndim - 1)), new, old) if by_time else new

    def init(params: Params) -> Any:
        state = rule.init(params)
        _by_time(rule, state, per_step, params)
        if not _counters(state):
            return state
        num_steps = next(
            leaf.shape[0] for leaf, by_time in zip(*map(jax.tree.leaves, (params, per_step)), strict=True) if by_time
        )
        return Accumulating(state, jnp.zeros(num_steps, bool))

    def update(
        grads: Params, state: Any, params: Params | None = None, *, learned: jax.Array, **extra: Any
    ) -> tuple[Params, Any]:
        before = state.inner if isinstance(state, Accumulating) else state
        if isinstance(state, Accumulating):
            learned = learned | state.learned
        updates, after = optax.with_extra_args_support(rule).update(grads, before, params, **extra)
        updates = jax.tree.map(
            lambda by_time, update: keep(by_time, update, jnp.zeros_like(update), learned), per_step, updates
        )
        after = jax.tree.map(
            lambda by_time, new, old: keep(by_time, new, old, learned),
            _by_time(rule, after, per_step, grads),
            after,
            before,
        )
        if not isinstance(state, Accumulating):
            return updates, after
        collects = jnp.any(jnp.stack([counter != 0 for counter in _counters(after)]))
        return updates, Accumulating(after, learned & collects)

    return optax.GradientTransformationExtraArgs(init, update)


def _without_time(rule: Optimizer) -> optax.GradientTransformationExtraArgs:
    """The rule itself, for networks without per-step parameters."""

    def update(
        grads: Params, state: Any, params: Params | None = None, *, learned: jax.Array, **extra: Any
    ) -> tuple[Params, Any]:
        updated: tuple[Params, Any] = optax.with_extra_args_support(rule).update(grads, state, params, **extra)
        return updated

    return optax.GradientTransformationExtraArgs(rule.init, update)


def _counters(state: Any) -> list[jax.Array]:
    """Of what collects gradients: zero where an update has just been made."""
    kinds = optax.MultiStepsState, optax.ApplyEvery
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kinds))
    counters = []
    for node in nodes:
        if isinstance(node, optax.MultiStepsState):
            counters += [node.mini_step, *_counters(node.inner_opt_state)]
        elif isinstance(node, optax.ApplyEvery):
            counters.append(node.count)
    return counters


def _by_time(rule: Optimizer, state: Any, per_step: Params, params: Params) -> Any:
    """True at the arrays of an optimiser's state that are by time, in its structure.

    Momentum and second moments belong to parameters, wherever the rule keeps them; counters do not. What a mask leaves
    out of a part of the rule has no moment there.

    Raises:
      ValueError: a rule whose arrays cannot be told by time.
    """
    foreign: list[str] = []

    def of_param(leaf: Any, by_time: bool, param: jax.Array) -> Any:
        if isinstance(leaf, optax.MaskedNode):
            return leaf
        if not by_time or leaf.ndim == 0 or leaf.shape[0] == 1:
            return by_time and leaf.ndim == param.ndim and leaf.shape[0] == param.shape[0]  # else of it as a whole
        if leaf.ndim != param.ndim or leaf.shape[0] != param.shape[0]:
            foreign.append(f"an array {list(leaf.shape)} of a per-step parameter {list(param.shape)}")
        return True

    kind = optax.LookaheadState
    if any(isinstance(node, kind) for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))):
        raise ValueError(f"optax.lookahead keeps two sets of parameters, and a training step knows one; {HOW}")
    try:
        by_time = optax.tree_utils.tree_map_params(
            rule,
            of_param,
            state,
            per_step,
            params,
            transform_non_params=lambda leaf: False,
            is_leaf=lambda node: isinstance(node, optax.MaskedNode),
        )
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the optimizer does not tell which of its arrays are of which parameter; {HOW}") from error
    if foreign:
        raise ValueError(f"the optimizer keeps {foreign[0]}, not by time; {HOW}")
    return by_time
