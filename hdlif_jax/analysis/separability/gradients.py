"""The gradients of a whole network that are to be compared: through time, and step by step as online learning has them.

Both differentiate with respect to the parameters and to zeros that are added to every neuron layer's current, which
gives ∂L/∂m_t. Their numbers for the parameters are those of `learning.stbp` and `learning.accumulate`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.learning import Batch, Loss
from hdlif_jax.learning.base import cells_key, check_step_loss, check_trains
from hdlif_jax.learning.online import hoist_with_pullback, step_gradient
from hdlif_jax.learning.stbp import run_steps, sequence_loss
from hdlif_jax.nn import Network, Params, Variables, init_state
from hdlif_jax.rollout import batch_size, forward_step, hoist, over_steps


class NetworkGradients(NamedTuple):
    """Gradients of the losses of a sequence.

    Attributes:
      params: with respect to the parameters, in their structure; of online gradients every leaf is `[T, ...]`.
      membrane: ∂L/∂m_t `[T, B, ...]` by path of the neuron layer.
    """

    params: Params
    membrane: dict[str, jax.Array]


def stbp_gradients(
    network: Network,
    loss: Loss,
    variables: Variables,
    batch: Batch,
    *,
    key: jax.Array | None = None,
    unroll: bool | None = None,
) -> NetworkGradients:
    """The gradient through the whole sequence (Eqs. 2-3), of a step loss that of its sum over the steps.

    Args:
      network: in training form, recording (`training_form(model, record=True)`).
      loss: `(logits [B, K], labels) -> scalar` of one step, or a `SequenceLoss`.
      variables: parameters and statistics.
      batch: static inputs `[B, ...]` or sequences `[T, B, ...]`, and labels, `[B]` integers or `[B, K]` distributions.
      key: for cells that draw.
      unroll: whether to unroll the time loop; None unrolls on CPU (see `rollout.over_steps`).

    Raises:
      TypeError: what is no network, loss or key.
      ValueError: a network that does not record or is in inference form, or variables, inputs or labels that do not fit
        it.
    """
    check_trains(network, key)
    start = init_state(network, variables, batch_size(network, batch.inputs))
    steps, nothing = jnp.arange(network.num_steps, dtype=jnp.int32), _no_offsets(network, variables, batch, key)

    def total(params: Params, offsets: dict[str, jax.Array]) -> jax.Array:
        hoisted, batch_stats = hoist(network, params, variables.batch_stats, batch.inputs)
        _, _, logits = run_steps(
            network, hoisted, start, batch_stats, batch, steps, key=cells_key(key), offsets=offsets, unroll=unroll
        )
        return sequence_loss(loss, logits, batch.labels)

    over_time = {path: jnp.zeros((network.num_steps, *leaf.shape), leaf.dtype) for path, leaf in nothing.items()}
    return NetworkGradients(*jax.grad(total, argnums=(0, 1))(variables.params, over_time))


def online_gradients(
    network: Network,
    loss: Loss,
    variables: Variables,
    batch: Batch,
    *,
    key: jax.Array | None = None,
    unroll: bool | None = None,
) -> NetworkGradients:
    """The online gradient of each step apart (Eq. 5): what `random_step` gives if it draws that step.

    Memory grows with T times the parameters, as all steps' gradients are kept. Arguments and errors as in
    `stbp_gradients`, but for the loss.

    Raises:
      TypeError: a loss of the whole sequence.
    """
    check_trains(network, key)
    step_loss = check_step_loss("an online gradient", loss)
    hoisted, pullback, batch_stats = hoist_with_pullback(network, variables, batch.inputs)
    nothing = _no_offsets(network, variables, batch, key)

    def body(carry: Any, t: jax.Array) -> tuple[Any, NetworkGradients]:
        state, batch_stats = carry
        step = step_gradient(
            network, step_loss, hoisted, batch_stats, state, batch, t, key=cells_key(key), offsets=nothing
        )
        (grads,) = pullback(step.grads)
        return (step.state, step.batch_stats), NetworkGradients(grads, step.offsets)

    carry = init_state(network, variables, batch_size(network, batch.inputs)), batch_stats
    gradients: NetworkGradients
    _, gradients = over_steps(body, carry, network.num_steps, unroll=unroll)
    return gradients


def _no_offsets(network: Network, variables: Variables, batch: Batch, key: jax.Array | None) -> dict[str, jax.Array]:
    """Zeros `[B, ...]` of the shape of every layer's currents, which is the shape of its spikes."""

    def first_step() -> dict[str, jax.Array]:
        hoisted, batch_stats = hoist(network, variables.params, variables.batch_stats, batch.inputs)
        return forward_step(network, hoisted, batch_stats, None, batch.inputs, 0, key=cells_key(key)).records

    records = jax.eval_shape(first_step)
    if not records:
        raise ValueError("the network does not record its spikes; build it with training_form(model, record=True)")
    return {path: jnp.zeros(leaf.shape, leaf.dtype) for path, leaf in records.items()}
