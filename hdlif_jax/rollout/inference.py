"""Inference: a scan over time with constant statistics."""

import jax
import jax.numpy as jnp

from hdlif_jax.nn import Network, Variables, carried, init_state, recorded_spikes
from hdlif_jax.rollout.time import batch_size, forward_step, prepare


def rollout(network: Network, variables: Variables, inputs: jax.Array) -> jax.Array:
    """Logits at every time-step.

    Args:
      network: a network in inference form.
      variables: its parameters and statistics.
      inputs: images `[B, H, W, C]`, shown at every step, or sequences `[T, B, H, W, C]`.

    Returns:
      `[T, B, K]`. The prediction after t steps is the argmax of the sum of the first t.

    Raises:
      ValueError: inputs that do not fit the network.
    """
    logits, _ = _scan(network, variables, inputs, lambda state: None)
    return logits


def rollout_spikes(network: Network, variables: Variables, inputs: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Logits `[T, B, K]` and every layer's spikes `{path: [T, B, ..., C]}` of a network that records them."""
    return _scan(network, variables, inputs, recorded_spikes)


def firing_rates(network: Network, variables: Variables, inputs: jax.Array) -> dict[str, jax.Array]:
    """Per layer the share of neurons that fire, over batch, space and time; memory does not grow with T.

    Args:
      network: a network in inference form that records.
      variables: its parameters and statistics.
      inputs: images `[B, H, W, C]` or sequences `[T, B, H, W, C]`.

    Returns:
      `{"blocks.0.neuron1": rate in [0, 1], ...}`.
    """
    _, rates = _scan(
        network,
        variables,
        inputs,
        lambda state: {path: jnp.mean(spikes != 0) for path, spikes in recorded_spikes(state).items()},
    )
    return {path: jnp.mean(per_step) for path, per_step in rates.items()}


def accuracy_per_step(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Number of right predictions after 1…T steps (Fig. 4).

    Args:
      logits: `[T, B, K]`.
      labels: `[B]` integers.

    Returns:
      `[T]` counts, int32.
    """
    predictions = jnp.argmax(jnp.cumsum(logits, axis=0), axis=-1)
    return jnp.sum(predictions == labels[None, :], axis=1, dtype=jnp.int32)


def _scan(network, variables, inputs, observe):
    prepared, batch_stats = prepare(network, variables.params, variables.batch_stats, inputs)

    def body(state, t):
        state, logits, _ = forward_step(network, prepared, batch_stats, state, inputs, t)
        return carried(state), (logits, observe(state))

    state = init_state(network, variables, batch_size(network, inputs))
    _, outputs = jax.lax.scan(body, state, jnp.arange(network.num_steps))
    return outputs
