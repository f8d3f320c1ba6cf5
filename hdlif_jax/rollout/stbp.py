"""Spatio-temporal back-propagation: the full gradient through time, the reference (Eqs. 2-3)."""

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Variables, init_state
from hdlif_jax.rollout.online import Gradient, LossFunction, with_preparation
from hdlif_jax.rollout.time import batch_size, check_labels, fold_steps, forward_step


def stbp(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    detach: bool = False,
    segment: int | None = None,
    unroll: bool | None = None,
) -> Gradient:
    """The gradient of the sum of all steps' losses through the whole sequence; memory grows with T.

    With `segment`, only the states between segments of so many steps are kept, and what the steps within one computed
    is computed again when the gradient comes back (gradient checkpointing): the same gradient, about a third more time,
    and the memory of T / segment states and of one segment's steps. It is least near segment = √T.

    Args:
      network: a network in training form.
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      detach: cuts the gradient between steps. The numbers are then those of `accumulate`, but not its memory: this is
        the oracle that `accumulate` is tested against.
      segment: number of steps between states that are kept, a divisor of T; None keeps everything.
      unroll: whether to unroll the scan; None unrolls on CPU (see `fold_steps`).

    Raises:
      ValueError: `segment` does not divide T, or inputs or labels do not fit the network.
    """
    if segment is not None and (segment < 1 or network.num_steps % segment):
        raise ValueError(f"segment={segment} does not divide the {network.num_steps} steps; choose a divisor, or None")
    if unroll is None:
        unroll = jax.default_backend() == "cpu"
    size = batch_size(network, inputs)

    def run(prepared, state, batch_stats, steps):
        """Some steps: `((state, summed loss), (batch_stats, summed logits))`."""

        def body(carry, t):
            state, batch_stats, logits_sum = carry
            if detach:
                # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t.
                state = jax.lax.stop_gradient(state)
            state, logits, batch_stats = forward_step(network, prepared, batch_stats, state, inputs, t)
            check_labels(logits.shape, labels)
            return (state, batch_stats, logits_sum + logits), loss_function(logits, labels)

        carry = (state, batch_stats, jnp.zeros((size, network.num_classes)))
        (state, batch_stats, logits), losses = jax.lax.scan(body, carry, steps, unroll=unroll)
        return (state, jnp.sum(losses)), (batch_stats, logits)

    def learn(prepared, batch_stats):
        state, steps = init_state(network, variables, size), jnp.arange(network.num_steps)
        if segment is not None:
            return _learn_in_segments(run, prepared, batch_stats, state, steps.reshape(-1, segment), unroll)

        def loss(prepared):
            (_, loss), rest = run(prepared, state, batch_stats, steps)
            return loss, rest

        (loss, (batch_stats, logits)), grads = jax.value_and_grad(loss, has_aux=True)(prepared)
        return batch_stats, (grads, loss, logits)

    return with_preparation(network, variables, inputs, learn, jnp.ones(network.num_steps, bool))


def _learn_in_segments(run, prepared, batch_stats, state, segments, unroll):
    """The gradient segment by segment, from the last to the first, each computed again from the state it began with."""

    def forward(carry, steps):
        (state, loss), (batch_stats, logits) = run(prepared, *carry, steps)
        return (state, batch_stats), (carry, loss, logits)

    (_, final_stats), (starts, losses, logits) = jax.lax.scan(forward, (state, batch_stats), segments)

    def backward(index, carry):
        state_grads, grads, starts = carry
        last = len(segments) - 1 - index
        start, start_stats = jax.tree.map(lambda leaf: leaf[last], starts)
        (_, loss), pullback, _ = jax.vjp(
            lambda prepared, start: run(prepared, start, start_stats, segments[last]), prepared, start, has_aux=True
        )
        segment_grads, state_grads = pullback((state_grads, jnp.ones_like(loss)))
        return state_grads, jax.tree.map(jnp.add, grads, segment_grads), starts

    # The starts go along, so that a segment waits for the one after it and is not computed again before it is needed.
    carry = (*jax.tree.map(jnp.zeros_like, (state, prepared)), starts)
    _, grads, _ = fold_steps(backward, carry, len(segments), unroll=unroll)
    return final_stats, (grads, jnp.sum(losses), jnp.sum(logits, 0))
