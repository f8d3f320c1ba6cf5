"""The gradients of a whole network that are to be compared: through time, and step by step as online learning has them.

Both differentiate with respect to the parameters and to zeros that are added to every neuron layer's membrane, which
gives ∂L/∂m_t. Their numbers for the parameters are those of `rollout.stbp` and `rollout.accumulate`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Params, Variables, carried, init_state, map_neuron_states
from hdlif_jax.rollout.online import LossFunction
from hdlif_jax.rollout.time import batch_size, check_labels, finish_step, forward_step, prepare


class NetworkGradients(NamedTuple):
    """Gradients of the losses of a sequence.

    Attributes:
      params: with respect to the parameters, in their structure; of online gradients every leaf is `[T, ...]`.
      membrane: ∂L/∂m_t `[T, B, ...]` per neuron layer, in the structure of the network's state.
    """

    params: Params
    membrane: Any


def stbp_gradients(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    unroll: bool | None = None,
) -> NetworkGradients:
    """The gradient of the sum of all steps' losses through the whole sequence (Eqs. 2-3).

    Args:
      network: in training form, recording (`training_form(model, record=True)`).
      loss_function: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.
      labels: `[B]` integers or `[B, K]` distributions.
      unroll: whether to unroll the scan; None unrolls on CPU (see `fold_steps`).

    Raises:
      ValueError: a network that does not record, or inputs or labels that do not fit it.
    """
    if unroll is None:
        unroll = jax.default_backend() == "cpu"

    def sequence_loss(params, perturbations):
        prepared, stats = prepare(network, params, variables.batch_stats, inputs)

        def body(carry, step_inputs):
            state, stats = carry
            t, step_perturbations = step_inputs
            state = _perturbed(state, step_perturbations)
            state, logits, stats = forward_step(network, prepared, stats, state, inputs, t)
            check_labels(logits.shape, labels)
            return (carried(state), stats), loss_function(logits, labels)

        carry = (init_state(network, variables, batch_size(network, inputs)), stats)
        steps = (jnp.arange(network.num_steps), perturbations)
        _, losses = jax.lax.scan(body, carry, steps, unroll=unroll)
        return jnp.sum(losses)

    over_time = jax.tree.map(
        lambda leaf: jnp.zeros((network.num_steps, *leaf.shape), leaf.dtype),
        _no_perturbation(network, variables, inputs),
    )
    return NetworkGradients(*jax.grad(sequence_loss, argnums=(0, 1))(variables.params, over_time))


def online_gradients(
    network: Network,
    loss_function: LossFunction,
    variables: Variables,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    unroll: bool | None = None,
) -> NetworkGradients:
    """The online gradient of each step apart (Eq. 5): what `random_step` gives if it draws that step.

    Memory grows with T times the parameters, as all steps' gradients are kept. Arguments and errors as in
    `stbp_gradients`, `unroll` as in `fold_steps`.
    """
    if unroll is None:
        unroll = jax.default_backend() == "cpu"
    (prepared, stats), pullback = jax.vjp(
        lambda params: prepare(network, params, variables.batch_stats, inputs), variables.params
    )
    constant_stats = jax.tree.map(jnp.zeros_like, stats)  # no gradient enters through the running statistics
    nothing = _no_perturbation(network, variables, inputs)

    def body(carry, t):
        state, stats = carry
        # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t: v_{t−1} is a constant to step t.
        state = jax.lax.stop_gradient(state)

        def step_loss(prepared, perturbation):
            new_state, logits, new_stats = forward_step(
                network, prepared, stats, _perturbed(state, perturbation), inputs, t
            )
            check_labels(logits.shape, labels)
            return loss_function(logits, labels), (carried(new_state), new_stats)

        (prepared_grads, membrane_grads), carry = jax.grad(step_loss, argnums=(0, 1), has_aux=True)(prepared, nothing)
        (grads,) = pullback((prepared_grads, constant_stats))
        return carry, NetworkGradients(grads, membrane_grads)

    carry = (init_state(network, variables, batch_size(network, inputs)), stats)
    if not unroll:
        _, gradients = jax.lax.scan(body, carry, jnp.arange(network.num_steps))
        return gradients
    steps = []
    for t in range(network.num_steps):
        carry, gradients = finish_step(body(carry, jnp.int32(t)))
        steps.append(gradients)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)


def _no_perturbation(network: Network, variables: Variables, inputs: jax.Array) -> Any:
    """Zeros `[B, ...]` of the shape of every layer's membrane, which is the shape of its spikes."""
    state = init_state(network, variables, batch_size(network, inputs))

    def first_step(variables, inputs):
        prepared, stats = prepare(network, variables.params, variables.batch_stats, inputs)
        state_after, _, _ = forward_step(network, prepared, stats, state, inputs, 0)
        return map_neuron_states(lambda neuron_state: neuron_state.spikes, state_after)

    shapes = jax.eval_shape(first_step, variables, inputs)
    if None in jax.tree.leaves(shapes, is_leaf=lambda leaf: leaf is None):
        raise ValueError("the network does not record its spikes; build it with training_form(model, record=True)")
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _perturbed(state: Any, perturbation: Any) -> Any:
    if isinstance(state, dict):
        return {name: _perturbed(child, perturbation[name]) for name, child in state.items()}
    return state._replace(perturbation=perturbation)
