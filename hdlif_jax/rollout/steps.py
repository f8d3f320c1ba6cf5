"""Loops over time, and the inputs that they read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax import xla_cpu
from hdlif_jax.nn import Network, Params, SpikingNetwork, StepOutput, Tick
from hdlif_jax.nn.needs import check_network


class Hoisted(NamedTuple):
    """What is computed once per batch, before the first time-step.

    Attributes:
      params: parameters with their kernels quantised.
      current: the stem's current of a static input `[B, ...]`; None for sequences, whose stem runs every step.
    """

    params: Params
    current: jax.Array | None


def is_static(network: Network | SpikingNetwork, inputs: jax.Array) -> bool:
    """Whether `inputs` is one batch of static inputs `[B, ...]` and not a sequence `[T, B, ...]`.

    Raises:
      TypeError: inputs that are no array.
      ValueError: neither shape fits the network, T is not its number of time-steps, or there is no input.
    """
    if not hasattr(inputs, "shape"):
        raise TypeError(f"inputs are a {type(inputs).__name__}; give an array, e.g. jax.numpy.asarray(inputs)")
    shape = tuple(network.input_shape)
    sequence = inputs.ndim == len(shape) + 2
    if inputs.ndim not in (len(shape) + 1, len(shape) + 2) or inputs.shape[inputs.ndim - len(shape) :] != shape:
        expected = ", ".join(str(size) for size in shape)
        raise ValueError(
            f"inputs have shape {inputs.shape}; expected [B, {expected}] for static inputs "
            f"or [{network.num_steps}, B, {expected}] for sequences"
        )
    if 0 in inputs.shape:
        raise ValueError(f"inputs have shape {inputs.shape}, which is nothing; give at least one")
    if sequence and inputs.shape[0] != network.num_steps:
        raise ValueError(
            f"inputs have {inputs.shape[0]} time-steps but the network has {network.num_steps}; "
            f"build it with num_steps={inputs.shape[0]} or integrate the events into {network.num_steps} frames"
        )
    return not sequence


def batch_size(network: Network | SpikingNetwork, inputs: jax.Array) -> int:
    """B of static or sequence inputs."""
    return inputs.shape[0] if is_static(network, inputs) else inputs.shape[1]


def hoist(network: Network, params: Params, batch_stats: Params, inputs: jax.Array) -> tuple[Hoisted, Params]:
    """Quantises the kernels and, for static inputs, runs the stem; returns the new batch statistics too.

    Raises:
      TypeError: what is no network, such as a model.
      ValueError: arrays of another network, or inputs that do not fit.
    """
    check_network(network)
    params = network.quantize(params)
    if not is_static(network, inputs):
        return Hoisted(params, None), batch_stats
    current, batch_stats = network.encode(params, batch_stats, inputs)
    return Hoisted(params, current), batch_stats


def forward_step(
    network: Network,
    hoisted: Hoisted,
    batch_stats: Params,
    state: Any,
    inputs: jax.Array,
    t: jax.Array | int,
    *,
    key: jax.Array | None = None,
    offsets: Mapping[str, jax.Array] | None = None,
) -> StepOutput:
    """One time-step.

    Args:
      network: in either form.
      hoisted: from `hoist`.
      batch_stats: running statistics.
      state: after the step before; None starts a sequence.
      inputs: static `[B, ...]` or sequences `[T, B, ...]`.
      t: from 0; may be traced.
      key: of the sequence, for cells that draw.
      offsets: added to the cells' currents, see `nn.Network.step`.
    """
    current = hoisted.current
    if current is None:
        frame = jnp.asarray(inputs)[t]  # a traced t is no index of numpy's
        current, batch_stats = network.encode(hoisted.params, batch_stats, frame)
    return network.step(hoisted.params, batch_stats, state, current, Tick(t, key), offsets)


def over_steps(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, num_steps: int, *, unroll: bool | None = None
) -> tuple[Any, Any]:
    """`jax.lax.scan` over t = 0…T−1, for bodies that contain the gradient of a convolution.

    Unrolled where that is wanted (`xla_cpu.unrolls_gradients`), with a barrier between the steps, so that memory stays
    that of one step.

    Args:
      body: `(carry, t) -> (carry, output)`.
      carry: any pytree.
      num_steps: T.
      unroll: None chooses by backend.

    Returns:
      The last carry, and the outputs stacked along a leading axis T.
    """
    if not (xla_cpu.unrolls_gradients() if unroll is None else unroll):
        return jax.lax.scan(body, carry, jnp.arange(num_steps, dtype=jnp.int32))
    outputs = []
    for t in range(num_steps):
        carry, output = xla_cpu.barrier(body(carry, jnp.int32(t)))
        outputs.append(output)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)
