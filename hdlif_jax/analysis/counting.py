"""Spikes and synaptic operations of a network, counted while it runs."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.analysis.kernels import check_kernels
from hdlif_jax.analysis.meter import Observer, watch
from hdlif_jax.nn import (
    Cell,
    Dropout,
    Form,
    SpikingNetwork,
    Synapse,
    Tick,
    inference_form,
    init_state,
    variables_of,
)
from hdlif_jax.nn.calls import Calls
from hdlif_jax.nn.declared import definer
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import intercept, modules
from hdlif_jax.nn.module import is_over_sequence
from hdlif_jax.rollout import batch_size, is_static


class Counts(NamedTuple):
    """Of one batch, by path, each `[B]` summed over time.

    Attributes:
      fired: neurons that fired.
      active: inputs of a layer of synapses that were not zero, where it reads spikes.
      operations: SOPs, where it reads spikes.
    """

    fired: dict[str, jax.Array]
    active: dict[str, jax.Array]
    operations: dict[str, jax.Array]


def make_counter(model: SpikingNetwork, *, batch_statistics: bool = False) -> Callable[[jax.Array], Counts]:
    """Builds the function that runs a batch, static inputs `[B, ...]` or sequences `[T, B, ...]`, and counts.

    Args:
      model: any network.
      batch_statistics: whether to normalise by the batch, as for a network whose running statistics are not trained.
        With norms over the whole sequence the network then runs layer by layer, the only form that has them.

    Raises:
      TypeError: a kernel that is in no layer of synapses.
    """
    check_kernels(model)
    model = _without_dropout(model)
    layers = dict(modules(model))
    form = Form(batch_statistics, integer=False)
    counted = in_form(model, form)
    module: Any
    for _, module in modules(counted):
        if isinstance(module, Synapse):
            module.kernel[...] = module.quantized_kernel()
    graphdef, arrays = nnx.split(counted)
    if batch_statistics and any(is_over_sequence(module) for module in layers.values()):
        return functools.partial(_layer_by_layer(model, graphdef, layers, form), arrays)
    network, count = inference_form(model), _step_by_step(model, graphdef, layers)

    def run(inputs: jax.Array) -> Counts:
        state = init_state(network, variables_of(model), batch_size(model, inputs))
        counts: Counts = count(arrays, state, inputs)
        return counts

    return run


def synaptic_operations(synapse: Synapse, spikes: jax.Array, kernel: jax.Array | None = None) -> jax.Array:
    """SOPs of a layer, Σ conv(1[s ≠ 0], 1[Ŵ ≠ 0]), per input.

    A spike costs as many operations as non-zero kernel entries carry it on, and the transpose of the layer applied to
    ones counts them for every position at once: exactly, also at the border and with a stride.

    Args:
      synapse: the layer.
      spikes: its inputs `[B, ..., C]`.
      kernel: Ŵ; the layer's own by default.

    Returns:
      `[B]` int32: up to 2³¹ operations per input and step.
    """
    kernel = synapse.effective_kernel() if kernel is None else kernel
    mask: Any = nnx.clone(synapse)
    mask.form = Form(train=False, integer=False)  # in which kernels are taken as they are
    mask.kernel[...] = (kernel != 0).astype(jnp.float32)
    outputs, transpose = jax.vjp(mask, jnp.zeros((1, *spikes.shape[1:]), jnp.float32))
    (fan_out,) = transpose(jnp.ones_like(outputs))
    operations = jnp.where(spikes != 0, jnp.round(fan_out).astype(jnp.int32), 0)
    return jnp.sum(operations, tuple(range(1, spikes.ndim)))


def _step_by_step(model: SpikingNetwork, graphdef: Any, layers: dict[str, Any]) -> Callable[..., Counts]:
    """`(arrays, state, inputs) -> counts`, compiled."""

    @jax.jit
    def count(arrays: Any, state: Any, inputs: jax.Array) -> Counts:
        static = is_static(model, inputs)

        def step(state: Any, t: jax.Array) -> tuple[Any, Counts]:
            module: Any = nnx.merge(graphdef, arrays, copy=True)
            counts = Counts({}, {}, {})
            watch(module, *_observers(counts, layers, lambda x: x[None]))
            state, _ = module(state, module.encode(inputs if static else inputs[t]), Tick(t))
            return state, counts

        _, counts = jax.lax.scan(step, state, jnp.arange(model.num_steps, dtype=jnp.int32))
        totals: Counts = jax.tree.map(lambda per_step: jnp.sum(per_step, 0), counts)
        return totals

    return count


def _layer_by_layer(model: SpikingNetwork, graphdef: Any, layers: dict[str, Any], form: Form) -> Callable[..., Counts]:
    """`(arrays, inputs) -> counts`, compiled."""

    @jax.jit
    def count(arrays: Any, inputs: jax.Array) -> Counts:
        num_steps, batch = model.num_steps, batch_size(model, inputs)

        def by_time(x: jax.Array) -> jax.Array:
            """A layer's values, which are `[T·B, ...]` in what runs as a whole, as `[T, B, ...]`."""
            return x if x.shape[:2] in ((num_steps, batch), (1, batch)) else x.reshape(-1, batch, *x.shape[1:])

        module: Any = nnx.merge(graphdef, arrays, copy=True)
        counts = Counts({}, {}, {})
        cells = [path for path, part in modules(module) if isinstance(part, Cell)]
        intercept(module, Calls(cells, form, None).over_time)
        watch(module, *_observers(counts, layers, by_time))
        currents = module.encode(inputs[None] if is_static(model, inputs) else inputs)
        module(None, jnp.broadcast_to(currents, (num_steps, *currents.shape[1:])), Tick(0))
        return counts

    return count


def _observers(
    counts: Counts, layers: dict[str, Any], by_time: Callable[[jax.Array], jax.Array]
) -> tuple[Observer, Observer]:
    """Functions that add what layers of synapses and of neurons do to the counts of a batch.

    Args:
      counts: to add to.
      layers: of the caller's model, by path.
      by_time: what a layer reads or gives as `[T, B, ...]`, of one step or of all.
    """

    def add(counts: dict[str, jax.Array], path: str, value: jax.Array) -> None:
        counts[path] = counts[path] + value if path in counts else value  # a layer may run twice in a step

    def on_synapse(path: str, layer: Any, inputs: jax.Array, _: jax.Array) -> None:
        if isinstance(layer, Synapse) and layer.spikes is not None:
            x = by_time(inputs)
            add(counts.active, path, _nonzero(x))
            operations = synaptic_operations(layers[path], x.reshape(-1, *x.shape[2:]), layer.effective_kernel())
            add(counts.operations, path, jnp.sum(operations.reshape(x.shape[:2]), 0))

    def on_neurons(path: str, _: Any, current: jax.Array, spikes: jax.Array) -> None:
        add(counts.fired, path, _nonzero(by_time(spikes)))

    return on_synapse, on_neurons


def _nonzero(x: jax.Array) -> jax.Array:
    """Number of values `[T, B, ...]` that are not zero, `[B]`."""
    return jnp.sum(x != 0, (0, *range(2, x.ndim)), dtype=jnp.int32)


def _without_dropout(model: SpikingNetwork) -> SpikingNetwork:
    """A copy that drops nothing, also where it normalises by the batch: nobody pays for dropout after training."""
    copy: Any = nnx.clone(cast(nnx.Module, model))
    module: Any
    for _, module in modules(copy):
        if isinstance(module, Dropout) and definer(type(module), "advance") is Dropout:
            module.rate = 0.0
    subject: SpikingNetwork = copy
    return subject
