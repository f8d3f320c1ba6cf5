"""Spatio-temporal back-propagation: the full gradient through time, the reference (Eqs. 2-3)."""

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Variables, init_state
from hdlif_jax.rollout.online import Gradient, LossFunction
from hdlif_jax.rollout.time import batch_size, check_labels, forward_step, prepare


def stbp(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    detach: bool = False,
    unroll: bool | None = None,
) -> Gradient:
    """The gradient of the sum of all steps' losses through the whole sequence; memory grows with T.

    Args:
      network: a network in training form.
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      detach: cuts the gradient between steps. The numbers are then those of `accumulate`, but not its memory: this is
        the oracle that `accumulate` is tested against.
      unroll: whether to unroll the scan; None unrolls on CPU (see `fold_steps`).

    Raises:
      ValueError: inputs or labels that do not fit the network.
    """
    if unroll is None:
        unroll = jax.default_backend() == "cpu"
    params, batch_stats = variables
    size = batch_size(network, inputs)

    def sequence_loss(params):
        prepared, stats = prepare(network, params, batch_stats, inputs)

        def body(carry, t):
            state, stats, logits_sum = carry
            if detach:
                # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t.
                state = jax.lax.stop_gradient(state)
            state, logits, stats = forward_step(network, prepared, stats, state, inputs, t)
            check_labels(logits.shape, labels)
            return (state, stats, logits_sum + logits), loss_function(logits, labels)

        carry = (init_state(network, variables, size), stats, jnp.zeros((size, network.num_classes)))
        (_, stats, logits), losses = jax.lax.scan(body, carry, jnp.arange(network.num_steps), unroll=unroll)
        return jnp.sum(losses), (logits, stats)

    (loss, (logits, batch_stats)), grads = jax.value_and_grad(sequence_loss, has_aux=True)(params)
    return Gradient(grads, loss, logits, batch_stats, jnp.ones(network.num_steps, bool))
