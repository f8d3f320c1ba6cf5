"""Optimisers that leave the per-step parameters of other time-steps alone."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from hdlif_jax.nn import Params

Optimizer: TypeAlias = optax.GradientTransformation | optax.MultiSteps
HOW = "give the per-step parameters another, such as optax.adam, by optax.multi_transform"


def check_optimizer(optimizer: Any) -> None:
    """Raises TypeError for what is no optax transformation, such as a function that makes one."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")) or inspect.isclass(optimizer):
        name = getattr(optimizer, "__name__", None)
        what = f"{name} is not called yet; write {name}(...)" if name else f"{optimizer!r} is no optax transformation"
        raise TypeError(f"optimizer={what}, e.g. optax.sgd(0.1, momentum=0.9)")


def decaying_kernels(per_step: Params) -> Callable[[Params], Params]:
    """A mask for weight decay: matrices and filters; neither scales, shifts and biases nor neuron parameters.

    Args:
      per_step: True at the parameters that are indexed by time, as in `Network.per_step`.
    """

    def decays(leaf: Any, by_time: bool) -> Any:
        return leaf if is_masked(leaf) else leaf.ndim >= 2 and not by_time  # what another part of a rule moves is out

    return lambda params: jax.tree.map(decays, params, per_step, is_leaf=is_masked)


def is_masked(node: Any) -> bool:
    """Whether a node stands for a parameter that a mask leaves out."""
    return isinstance(node, optax.MaskedNode)


class Accumulating(NamedTuple):
    """The state of a rule that collects the gradients of several batches for one update.

    Attributes:
      inner: of the rule.
      learned: of each parameter by time `[T]` bool, the steps that learned since its last update; else empty.
    """

    inner: Any
    learned: Params


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

    def init(params: Params) -> Any:
        state = rule.init(params)
        _masks(rule, state, per_step, params, per_step)
        collected = [part for _, parts in _collectors(state) for part in _of_steps(parts, per_step)]
        if not any(collected):
            return state
        nothing = jax.tree.map(lambda by_time, param: jnp.zeros(len(param) if by_time else 0, bool), per_step, params)
        return Accumulating(state, nothing)

    def update(
        grads: Params, state: Any, params: Params | None = None, *, learned: jax.Array, **extra: Any
    ) -> tuple[Params, Any]:
        collects = isinstance(state, Accumulating)
        before = state.inner if collects else state
        since = state.learned if collects else jax.tree.map(lambda _: learned, per_step)
        windows = jax.tree.map(lambda by_time, steps: steps | learned if by_time else steps, per_step, since)
        updates, after = optax.with_extra_args_support(rule).update(grads, before, params, **extra)
        updates = jax.tree.map(
            lambda by_time, update, steps: _keep(steps, update, jnp.zeros_like(update)) if by_time else update,
            per_step,
            updates,
            windows,
        )
        masks = _masks(rule, after, per_step, grads, windows)
        after = jax.tree.map(
            lambda mask, new, old: new if mask is True else _keep(mask, new, old), masks, after, before
        )
        return updates, Accumulating(after, _still_collected(after, windows)) if collects else after

    return optax.GradientTransformationExtraArgs(init, update)


def _keep(steps: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    """The new entries `[T, ...]` at some of the steps, the old ones at the others."""
    return jnp.where(steps.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _without_time(rule: Optimizer) -> optax.GradientTransformationExtraArgs:
    """The rule itself, for networks without per-step parameters."""

    def update(
        grads: Params, state: Any, params: Params | None = None, *, learned: jax.Array, **extra: Any
    ) -> tuple[Params, Any]:
        updated: tuple[Params, Any] = optax.with_extra_args_support(rule).update(grads, state, params, **extra)
        return updated

    return optax.GradientTransformationExtraArgs(rule.init, update)


def _collectors(state: Any) -> list[tuple[jax.Array, Params]]:
    """Of what collects gradients: a counter, zero where an update has just been made, and the gradients."""
    kinds = optax.MultiStepsState, optax.ApplyEvery
    found: list[tuple[jax.Array, Params]] = []
    for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kinds)):
        if isinstance(node, optax.MultiStepsState):
            found += [(node.mini_step, node.acc_grads), *_collectors(node.inner_opt_state)]
        elif isinstance(node, optax.ApplyEvery):
            found.append((node.count, node.grad_acc))
    return found


def _of_steps(collected: Params, per_step: Params) -> list[bool]:
    """For each parameter whether it is by time and among those that are collected: a mask may leave it out."""
    tree = jax.tree.map(lambda by_time, part: by_time and not isinstance(part, optax.MaskedNode), per_step, collected)
    return jax.tree.leaves(tree)


def _still_collected(state: Any, windows: Params) -> Params:
    """The steps that learned and have not led to an update: of each parameter, by what collects it."""
    collectors = _collectors(state)

    def of_param(steps: jax.Array, *collected: Any) -> jax.Array:
        parts = zip(collectors, collected, strict=True)
        waits = [counter != 0 for (counter, _), part in parts if not isinstance(part, optax.MaskedNode)]
        return steps & jnp.any(jnp.stack(waits)) if waits else jnp.zeros_like(steps)

    still: Params = jax.tree.map(of_param, windows, *(collected for _, collected in collectors))
    return still


def _masks(rule: Optimizer, state: Any, per_step: Params, params: Params, windows: Params) -> Any:
    """In the structure of an optimiser's state the steps that move of each array that is by time, and True at others.

    Momentum and second moments belong to parameters, wherever the rule keeps them; counters do not. What a mask leaves
    out of a part of the rule has no moment there.

    Raises:
      ValueError: a rule whose arrays cannot be told by time.
    """
    foreign: list[str] = []

    def of_param(leaf: Any, by_time: bool, param: jax.Array, steps: Any) -> Any:
        if isinstance(leaf, optax.MaskedNode):
            return leaf
        is_like_param = by_time and leaf.ndim == param.ndim and leaf.shape[:1] == param.shape[:1]
        if by_time and not is_like_param and leaf.ndim and leaf.shape[0] > 1:  # else it is of the parameter as a whole
            foreign.append(f"an array {list(leaf.shape)} of a per-step parameter {list(param.shape)}")
        return steps if is_like_param else True

    kind = optax.LookaheadState
    if any(isinstance(node, kind) for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))):
        raise ValueError(f"optax.lookahead keeps two sets of parameters, and a training step knows one; {HOW}")
    try:
        masks = optax.tree_utils.tree_map_params(
            rule,
            of_param,
            state,
            per_step,
            params,
            windows,
            transform_non_params=lambda leaf: True,
            is_leaf=lambda node: isinstance(node, optax.MaskedNode),
        )
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the optimizer does not tell which of its arrays are of which parameter; {HOW}") from error
    if foreign:
        raise ValueError(f"the optimizer keeps {foreign[0]}, not by time; {HOW}")
    return masks
