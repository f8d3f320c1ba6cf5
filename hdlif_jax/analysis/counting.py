"""Spikes and synaptic operations of a network, counted while it runs."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.analysis.meter import check_kernels, synapses, watch
from hdlif_jax.nn import (
    BatchNorm,
    Dropout,
    Form,
    SpikingNetwork,
    Synapse,
    Tick,
    Variables,
    inference_form,
    init_state,
    training_form,
    variables_of,
    with_variables,
)
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import modules
from hdlif_jax.quantize import weight_quantizer
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

    Raises:
      TypeError: a kernel that is in no `Synapse`.
    """
    check_kernels(model)
    model = _without_dropout(model)
    network, layers = inference_form(model), dict(synapses(model))
    graphdef, _ = nnx.split(_counted_form(model, batch_statistics))

    @jax.jit
    def count(arrays: Any, state: Any, inputs: jax.Array) -> Counts:
        static = is_static(model, inputs)

        def step(state: Any, t: jax.Array) -> tuple[Any, Counts]:
            module: Any = nnx.merge(graphdef, arrays, copy=True)
            counts = Counts({}, {}, {})

            def on_synapse(path: str, synapse: Synapse, inputs: jax.Array, _: jax.Array) -> None:
                if synapse.spikes is not None:
                    _add(counts.active, path, _count_per_input(inputs != 0))
                    kernel = synapse.effective_kernel()
                    _add(counts.operations, path, synaptic_operations(layers[path], inputs, kernel))

            def on_neurons(path: str, _: Any, current: jax.Array, spikes: jax.Array) -> None:
                _add(counts.fired, path, _count_per_input(spikes != 0))

            watch(module, on_synapse, on_neurons)
            state, _ = module(state, module.encode(inputs if static else inputs[t]), Tick(t))
            return state, counts

        _, counts = jax.lax.scan(step, state, jnp.arange(model.num_steps))
        totals: Counts = jax.tree.map(lambda per_step: jnp.sum(per_step, 0), counts)
        return totals

    def run(inputs: jax.Array) -> Counts:
        state = init_state(network, variables_of(model), batch_size(model, inputs))
        subject = _with_sequence_statistics(model, inputs) if batch_statistics else model
        totals: Counts = count(nnx.state(_counted_form(subject, batch_statistics)), state, inputs)
        return totals

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
    outputs, transpose = jax.vjp(mask, jnp.zeros((1, *spikes.shape[1:])))
    (fan_out,) = transpose(jnp.ones_like(outputs))
    operations = jnp.where(spikes != 0, jnp.round(fan_out).astype(jnp.int32), 0)
    return jnp.sum(operations, tuple(range(1, spikes.ndim)))


def _without_dropout(model: SpikingNetwork) -> SpikingNetwork:
    """A copy that drops nothing, also where it normalises by the batch: nobody pays for dropout after training."""
    copy: Any = nnx.clone(cast(nnx.Module, model))
    for _, module in modules(copy):
        if isinstance(module, Dropout | nnx.Dropout):
            module.rate = 0.0
    subject: SpikingNetwork = copy
    return subject


def _counted_form(model: SpikingNetwork, batch_statistics: bool) -> Any:
    """The network in the form in which it is counted, with kernels Ŵ."""
    form = in_form(model, Form(batch_statistics, integer=False))
    module: Any
    for _, module in modules(form):
        if isinstance(module, Synapse):
            module.kernel[...] = weight_quantizer(module.weights)(module.kernel[...])
        elif _is_over_sequence(module):
            module.form = Form(train=False)  # its statistics come from `_with_sequence_statistics`
    return form


def _with_sequence_statistics(model: SpikingNetwork, inputs: jax.Array) -> SpikingNetwork:
    """A copy whose normalisers over the whole sequence hold the statistics of these inputs.

    Only the layer-by-layer form computes them, and counting goes step by step.
    """
    copy: Any = nnx.clone(cast(nnx.Module, model))
    norms: list[Any] = [module for _, module in modules(copy) if _is_over_sequence(module)]
    if not norms:
        return model
    for norm in norms:
        norm.options = dataclasses.replace(norm.options, momentum=0.0)  # the running statistics become the batch's
    network, variables = training_form(copy), variables_of(copy)
    output = jax.jit(network.sequence)(network.quantize(variables.params), variables.batch_stats, inputs)
    return with_variables(copy, Variables(variables.params, output.batch_stats))


def _is_over_sequence(module: Any) -> bool:
    return isinstance(module, BatchNorm) and module.options.statistics == "sequence"


def _count_per_input(mask: jax.Array) -> jax.Array:
    return jnp.sum(mask, tuple(range(1, mask.ndim)), dtype=jnp.int32)


def _add(counts: dict[str, jax.Array], path: str, value: jax.Array) -> None:
    """Adds to what a layer that runs twice in a step has counted."""
    counts[path] = counts[path] + value if path in counts else value
