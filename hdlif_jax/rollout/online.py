"""Online learning: gradients of single time-steps, in memory that does not grow with T (Section 5, Algorithm 1).

The gradient is taken inside the time loop: a stop_gradient on the carry with the gradient outside gives the same
numbers, but keeps what every step computed. All rules share one learning step and differ in where they take it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Params, Variables, init_state
from hdlif_jax.rollout.time import Prepared, batch_size, check_labels, finish_step, fold_steps, forward_step, prepare

LossFunction = Callable[[jax.Array, jax.Array], jax.Array]  # (logits [B, K], labels) -> scalar


class Gradient(NamedTuple):
    """The gradient of a batch and what was computed along the way.

    Attributes:
      grads: with respect to the parameters; exact zeros at per-step entries of steps that did not learn.
      loss: scalar, summed over the learning steps.
      logits: `[B, K]`, summed over the learning steps.
      batch_stats: after the steps that were run.
      learned: `[T]` bool, the steps whose loss was differentiated.
    """

    grads: Params
    loss: jax.Array
    logits: jax.Array
    batch_stats: Params
    learned: jax.Array


def random_step(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    key: jax.Array,
) -> Gradient:
    """Algorithm 1: the gradient of one uniformly drawn step t*; earlier steps run forward only, later ones not at all.

    Args:
      network: a network in training form.
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      key: draws t*.

    Raises:
      ValueError: inputs or labels that do not fit the network.
    """
    steps = jax.random.randint(key, (1,), 0, network.num_steps)
    return gradient_at_steps(network, loss_function, variables, inputs, labels, steps)


def random_k(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    *,
    k: int,
) -> Gradient:
    """The summed gradients of K different steps, drawn uniformly (the selection of SLTT-K); arguments as `random_step`.

    Raises:
      ValueError: k is not in 1…T, or inputs or labels do not fit the network.
    """
    if not 1 <= k <= network.num_steps:
        raise ValueError(f"k={k} random steps of {network.num_steps}; choose 1 ≤ k ≤ num_steps")
    steps = jnp.sort(jax.random.permutation(key, network.num_steps)[:k])
    return gradient_at_steps(network, loss_function, variables, inputs, labels, steps)


def gradient_at_steps(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    steps: jax.Array,
) -> Gradient:
    """The summed online gradients of the given steps; nothing runs after the last.

    Args:
      network: a network in training form.
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      steps: `[K]` different steps in rising order, from 0; may be traced, so other steps do not recompile.

    Raises:
      ValueError: inputs or labels that do not fit the network.
    """

    def learn(prepared, batch_stats):
        def forward_only(t, carry):
            state, batch_stats = carry
            state, _, batch_stats = forward_step(network, prepared, batch_stats, state, inputs, t)
            return state, batch_stats

        state = init_state(network, variables, batch_size(network, inputs))
        start, total = 0, _zero(network, prepared, inputs)
        for t in steps:
            state, batch_stats = jax.lax.fori_loop(start, t, forward_only, (state, batch_stats))
            state, batch_stats, step_total = _learning_step(
                network, loss_function, prepared, batch_stats, state, inputs, labels, t
            )
            total = jax.tree.map(jnp.add, total, step_total)
            state, batch_stats, total = finish_step((state, batch_stats, total))
            start = t + 1
        return batch_stats, total

    learned = jnp.zeros(network.num_steps, bool).at[steps].set(True)
    return with_preparation(network, variables, inputs, learn, learned)


def accumulate(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    unroll: bool | None = None,
) -> Gradient:
    """The summed online gradients of all steps; arguments as `random_step`, `unroll` as `fold_steps`."""

    def learn(prepared, batch_stats):
        def body(t, carry):
            state, batch_stats, total = carry
            state, batch_stats, step_total = _learning_step(
                network, loss_function, prepared, batch_stats, state, inputs, labels, t
            )
            return state, batch_stats, jax.tree.map(jnp.add, total, step_total)

        state = init_state(network, variables, batch_size(network, inputs))
        carry = (state, batch_stats, _zero(network, prepared, inputs))
        _, batch_stats, total = fold_steps(body, carry, network.num_steps, unroll=unroll)
        return batch_stats, total

    return with_preparation(network, variables, inputs, learn, jnp.ones(network.num_steps, bool))


def every_step(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    optimizer_state: Any,
    update: Callable[[Params, Any, Params, jax.Array], tuple[Params, Any]],
    *,
    unroll: bool | None = None,
) -> tuple[Variables, Any, jax.Array, jax.Array]:
    """One update after each step, so that step t + 1 already runs with the parameters that step t taught.

    Args:
      network: a network in training form.
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      optimizer_state: what `update` carries.
      update: `(grads, optimizer_state, params, learned [T]) -> (params, optimizer_state)`.
      unroll: as `fold_steps`.

    Returns:
      The variables, the optimiser state, and loss and logits `[B, K]` summed over the steps.

    Raises:
      ValueError: inputs or labels that do not fit the network.
    """

    def body(t, carry):
        (params, batch_stats), optimizer_state, state, loss, logits = carry

        prepared, pullback, batch_stats = _prepare_with_pullback(network, params, batch_stats, inputs)
        state, batch_stats, (prepared_grads, step_loss, step_logits) = _learning_step(
            network, loss_function, prepared, batch_stats, state, inputs, labels, t
        )
        (grads,) = pullback(prepared_grads)
        params, optimizer_state = update(grads, optimizer_state, params, jnp.arange(network.num_steps) == t)
        return Variables(params, batch_stats), optimizer_state, state, loss + step_loss, logits + step_logits

    size = batch_size(network, inputs)
    state = init_state(network, variables, size)
    loss, logits = jnp.zeros(()), jnp.zeros((size, network.num_classes))
    carry = (variables, optimizer_state, state, loss, logits)
    variables, optimizer_state, _, loss, logits = fold_steps(body, carry, network.num_steps, unroll=unroll)
    return variables, optimizer_state, loss, logits


def _learning_step(network, loss_function, prepared, batch_stats, state, inputs, labels, t):
    """Forward and gradient of one step; returns (state, batch_stats, (grads of prepared, loss, logits))."""
    # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t: v_{t−1} is a constant to step t.
    state = jax.lax.stop_gradient(state)

    def step_loss(prepared):
        new_state, logits, new_batch_stats = forward_step(network, prepared, batch_stats, state, inputs, t)
        check_labels(logits.shape, labels)
        return loss_function(logits, labels), (new_state, logits, new_batch_stats)

    (loss, (state, logits, batch_stats)), grads = jax.value_and_grad(step_loss, has_aux=True)(prepared)
    return state, batch_stats, (grads, loss, logits)


def _zero(network: Network, prepared: Prepared, inputs: jax.Array):
    logits = jnp.zeros((batch_size(network, inputs), network.num_classes))
    return jax.tree.map(jnp.zeros_like, prepared), jnp.zeros(()), logits


def with_preparation(network, variables, inputs, learn, learned) -> Gradient:
    """Quantisation and static stem once before the time loop, their gradient once after it."""
    prepared, pullback, batch_stats = _prepare_with_pullback(network, variables.params, variables.batch_stats, inputs)
    batch_stats, (prepared_grads, loss, logits) = learn(prepared, batch_stats)
    (grads,) = pullback(prepared_grads)
    return Gradient(grads, loss, logits, batch_stats, learned)


def _prepare_with_pullback(network, params, batch_stats, inputs):
    return jax.vjp(lambda params: prepare(network, params, batch_stats, inputs), params, has_aux=True)
