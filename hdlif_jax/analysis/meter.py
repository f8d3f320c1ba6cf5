"""Watching what the layers of a network read while it runs, and counting it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn import SpikingNetwork, Synapse, carried, recorded_spikes
from hdlif_jax.rollout.time import is_static

Observer = Callable[[str, Synapse, jax.Array, jax.Array], None]  # of path, layer, what it reads and what it gives


class LayerShape(NamedTuple):
    """A synapse layer as it runs on one image.

    Attributes:
      synapse: the layer, of the caller's model.
      inputs: number of values that it reads in a pass.
      outputs: number of values that it gives in a pass.
      encodes: whether it is part of the memoryless stem.
    """

    synapse: Synapse
    inputs: int
    outputs: int
    encodes: bool


class Layout(NamedTuple):
    """The layers of a network in the order in which they run, by path.

    Attributes:
      synapses: convolution and linear layers.
      neurons: number of neurons of each neuron layer.
    """

    synapses: dict[str, LayerShape]
    neurons: dict[str, int]


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


def modules(model: Any) -> Iterator[tuple[str, nnx.Module]]:
    """Every module of a model with its path, `"blocks.0.conv1"`."""
    for path, module in nnx.iter_modules(model):
        yield ".".join(map(str, path)), module


def synapses(model: Any) -> Iterator[tuple[str, Synapse]]:
    """Every convolution and linear layer of a model with its path."""
    for path, module in modules(model):
        if isinstance(module, Synapse):
            yield path, module


def watch(module: Any, observe: Observer) -> None:
    """Makes every synapse layer report its calls, in place; after this the module is only good for running."""
    for path, child in list(nnx.iter_modules(module)):
        if isinstance(child, Synapse):
            *parents, name = path
            parent = module
            for step in parents:
                parent = parent[step] if isinstance(step, int) else getattr(parent, str(step))
            setattr(parent, str(name), _reporting(".".join(map(str, path)), child, observe))


def layout(model: SpikingNetwork) -> Layout:
    """Layers and their sizes for one image, by tracing shapes: nothing is computed.

    Args:
      model: any network of the library; shapes are enough (`nnx.eval_shape`).
    """
    originals = dict(synapses(model))
    shapes: dict[str, LayerShape] = {}
    graphdef, arrays = nnx.split(_watchable(model, use_running_average=True))

    def one_image(arrays, x):
        module: Any = nnx.merge(graphdef, arrays, copy=True)
        encodes = True

        def observe(path, _, inputs, outputs):
            shapes[path] = LayerShape(originals[path], inputs.size, outputs.size, encodes)

        watch(module, observe)
        current = module.encode(x)
        encodes = False
        state, _ = module(None, current, 0)
        return state

    state = jax.eval_shape(one_image, arrays, jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32))
    return Layout(shapes, {path: spikes.size for path, spikes in recorded_spikes(state).items()})


def make_counter(model: SpikingNetwork, *, batch_statistics: bool = False) -> Callable[[jax.Array], Counts]:
    """Builds the function that runs a batch, static inputs `[B, ...]` or sequences `[T, B, ...]`, and counts.

    Args:
      model: any network of the library.
      batch_statistics: whether to normalise by the batch, as for a network whose running statistics are not trained.
    """
    form = _watchable(model, use_running_average=not batch_statistics)
    for _, synapse in synapses(form):
        synapse.kernel[...] = synapse.effective_kernel()
    form.set_attributes(kernel_is_quantized=True)
    graphdef, arrays = nnx.split(form)

    @jax.jit
    def count(arrays, inputs):
        def step(state, t):
            module: Any = nnx.merge(graphdef, arrays, copy=True)
            active, operations = {}, {}

            def observe(path, synapse, inputs, _):
                if synapse.spikes:
                    active[path] = _count_per_image(inputs != 0)
                    operations[path] = synaptic_operations(synapse, inputs)

            watch(module, observe)
            current = module.encode(inputs if is_static(model, inputs) else inputs[t])
            state, _ = module(state, current, t)
            fired = {path: _count_per_image(spikes != 0) for path, spikes in recorded_spikes(state).items()}
            return carried(state), Counts(fired, active, operations)

        shapes, _ = jax.eval_shape(lambda: step(None, 0))
        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        _, counts = jax.lax.scan(step, state, jnp.arange(model.num_steps))
        return jax.tree.map(lambda per_step: jnp.sum(per_step, 0), counts)

    return lambda inputs: count(arrays, inputs)


def synaptic_operations(synapse: Synapse, spikes: jax.Array) -> jax.Array:
    """SOPs of a layer, Σ conv(1[s ≠ 0], 1[Ŵ ≠ 0]), per image.

    A spike costs as many operations as non-zero kernel entries carry it on, and the transpose of the layer applied to
    ones counts them for every position at once: exactly, also at the border and with a stride.

    Args:
      synapse: the layer.
      spikes: its inputs `[B, ..., C]`.

    Returns:
      `[B]` int32: up to 2³¹ operations per image and step.
    """
    mask = nnx.clone(synapse)
    mask.kernel[...] = (synapse.effective_kernel() != 0).astype(jnp.float32)
    mask.set_attributes(kernel_is_quantized=True)
    outputs, transpose = jax.vjp(mask, jnp.zeros((1, *spikes.shape[1:])))
    (fan_out,) = transpose(jnp.ones_like(outputs))
    operations = jnp.where(spikes != 0, jnp.round(fan_out).astype(jnp.int32), 0)
    return jnp.sum(operations, tuple(range(1, spikes.ndim)))


def _watchable(model: SpikingNetwork, *, use_running_average: bool) -> nnx.Module:
    form = cast(nnx.Module, nnx.clone(model))
    form.set_attributes(use_running_average=use_running_average, record=True, raise_if_not_found=False)
    return form


def _reporting(path: str, synapse: Synapse, observe: Observer) -> Callable[[jax.Array], jax.Array]:
    def call(inputs):
        outputs = synapse(inputs)
        observe(path, synapse, inputs, outputs)
        return outputs

    return call


def _count_per_image(mask: jax.Array) -> jax.Array:
    return jnp.sum(mask, tuple(range(1, mask.ndim)), dtype=jnp.int32)
