"""Inference: a scan over time with constant statistics."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax import xla_cpu
from hdlif_jax.losses import check_classes
from hdlif_jax.nn import Network, StepOutput, Variables, init_state
from hdlif_jax.nn.needs import check_key, check_network, check_variables
from hdlif_jax.rollout.steps import batch_size, forward_step, hoist, is_static


def rollout(network: Network, variables: Variables, inputs: jax.Array) -> jax.Array:
    """Logits at every time-step.

    Args:
      network: a network in inference form.
      variables: its parameters and statistics.
      inputs: static inputs `[B, ...]`, such as images shown at every step, or sequences `[T, B, ...]`.

    Returns:
      `[T, B, K]`. The prediction after t steps is the argmax of the sum of the first t.

    Raises:
      TypeError: what is no network, such as a model.
      ValueError: a network in training form, or variables or inputs that do not fit it.

    Example:
      >>> import jax
      >>> from flax import nnx
      >>> from hdlif_jax import nn, rollout
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=nn.Spec(num_steps=5), rngs=nnx.Rngs(0))
      >>> network, variables = nn.inference_form(model), nn.variables_of(model)
      >>> static, sequence = jax.numpy.ones((4, 8)), jax.numpy.ones((5, 4, 8))
      >>> rollout.rollout(network, variables, static).shape, rollout.rollout(network, variables, sequence).shape
      ((5, 4, 3), (5, 4, 3))
    """
    check_network(network, trains=False)
    logits, _ = _scan(network, variables, inputs, lambda output: None)
    return logits


def rollout_spikes(network: Network, variables: Variables, inputs: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Logits `[T, B, K]` and every cell's spikes `{path: [T, B, ..., C]}` of a network that records them.

    Raises:
      TypeError: what is no network, such as a model.
      ValueError: a network that does not record, or variables or inputs that do not fit it.
    """
    check_network(network, records=True)
    return _scan(network, variables, inputs, lambda output: output.records)


def firing_rates(
    network: Network,
    variables: Variables,
    inputs: jax.Array,
    *,
    key: jax.Array | None = None,
    layerwise: bool = False,
) -> dict[str, jax.Array]:
    """Per layer the share of neurons that fire, over batch, space and time; memory does not grow with T.

    Args:
      network: a network that records.
      variables: its parameters and statistics.
      inputs: static inputs `[B, ...]` or sequences `[T, B, ...]`.
      key: for cells that draw, in training form.
      layerwise: whether to run layer by layer, as normalisers over the sequence need in training form.

    Returns:
      `{"blocks.0.neuron1": rate in [0, 1], ...}`.

    Raises:
      TypeError: what is no network, such as a model, or no key.
      ValueError: a network that does not record, or variables or inputs that do not fit it.
    """
    check_network(network, records=True)
    check_key(key)

    def fired(records: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return {path: jnp.mean(spikes != 0) for path, spikes in records.items()}

    if layerwise:
        check_variables(variables)
        is_static(network, inputs)  # refuses what does not fit
        return fired(network.sequence(network.quantize(variables.params), variables.batch_stats, inputs, key).records)
    _, rates = _scan(network, variables, inputs, lambda output: fired(output.records), key)
    return {path: jnp.mean(per_step) for path, per_step in rates.items()}


def accuracy_per_step(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Number of right predictions after 1…T steps (Fig. 4).

    Args:
      logits: `[T, B, K]`.
      labels: `[B]` integers.

    Returns:
      `[T]` counts, int32.

    Raises:
      TypeError: labels that are no integers.
      ValueError: other shapes, such as labels as distributions; or, where they are concrete, labels of no class but for
        −1, which is never right.

    Example:
      One of two is right after the first step, and both after the second.

      >>> import jax.numpy as jnp
      >>> from hdlif_jax import rollout
      >>> logits = jnp.float32([[[2, 0], [1, 0]], [[0, 1], [0, 3]]])
      >>> rollout.accuracy_per_step(logits, jnp.array([0, 1])).tolist()
      [1, 2]
    """
    if len(logits.shape) != 3 or labels.shape != logits.shape[1:2]:
        raise ValueError(
            f"logits have shape {logits.shape} and labels {labels.shape}; accuracies are of logits [T, B, K] and "
            "labels [B], for distributions their argmax"
        )
    check_classes(labels, logits.shape[-1], lowest=-1)
    predictions = jnp.argmax(jnp.cumsum(logits, axis=0), axis=-1)
    return jnp.sum(predictions == labels[None, :], axis=1, dtype=jnp.int32)


def _scan(
    network: Network,
    variables: Variables,
    inputs: jax.Array,
    observe: Callable[[StepOutput], Any],
    key: jax.Array | None = None,
) -> tuple[jax.Array, Any]:
    check_variables(variables)
    hoisted, batch_stats = hoist(network, variables.params, variables.batch_stats, inputs)
    unroll = xla_cpu.inference_unroll(network.num_steps)

    def body(state: Any, t: jax.Array) -> tuple[Any, Any]:
        output = forward_step(network, hoisted, batch_stats, state, inputs, t, key=key)
        # Where steps are unrolled, the barrier keeps XLA from holding the arrays of all of them at once.
        state = output.state if unroll == 1 else jax.lax.optimization_barrier(output.state)
        return state, (output.logits, observe(output))

    state = init_state(network, variables, batch_size(network, inputs))
    steps = jnp.arange(network.num_steps, dtype=jnp.int32)
    _, (logits, observed) = jax.lax.scan(body, state, steps, unroll=unroll)
    return logits, observed
