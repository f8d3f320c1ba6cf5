"""Watching what the layers of a network read and emit while it runs, and how large they are."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.analysis.kernels import Kernel, check_kernels, kernel_of, kernels
from hdlif_jax.nn import Form, NeuronCell, SpikingNetwork, Tick
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import Interceptor, intercept

Observer = Callable[[str, Any, jax.Array, jax.Array], None]  # of path, layer, what it reads and what it gives


class LayerShape(NamedTuple):
    """A layer of synapses as it runs on one input.

    Attributes:
      kernel: what it is made of.
      inputs: number of values that it reads in a pass.
      outputs: number of values that it gives in a pass.
      encodes: whether it is part of the memoryless stem.
    """

    kernel: Kernel
    inputs: int
    outputs: int
    encodes: bool


class Layout(NamedTuple):
    """The layers of a network in the order in which they run, by path.

    Attributes:
      synapses: convolution and linear layers.
      shapes: of the neurons of each layer of neurons, `(H, W, C)` or `(C,)`.
    """

    synapses: dict[str, LayerShape]
    shapes: dict[str, tuple[int, ...]]

    @property
    def neurons(self) -> dict[str, int]:
        """Number of neurons of each layer."""
        return {path: math.prod(shape) for path, shape in self.shapes.items()}


def watch(model: Any, on_synapse: Observer, on_neurons: Observer) -> None:
    """Makes layers of synapses and of neurons report their calls, in place; then the model is only good for running."""

    def choose(path: str, module: nnx.Module) -> Interceptor | None:
        def run_synapse(call: Callable[..., Any], inputs: jax.Array) -> jax.Array:
            outputs: jax.Array = call(inputs)
            on_synapse(path, module, inputs, outputs)
            return outputs

        def run_neurons(call: Callable[..., Any], state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
            state, spikes = call(state, current, tick)
            on_neurons(path, module, current, spikes)
            return state, spikes

        if kernel_of(path, module) is not None:
            return run_synapse
        return run_neurons if isinstance(module, NeuronCell) else None

    intercept(model, choose)


def layout(model: SpikingNetwork) -> Layout:
    """Layers and their sizes for one input, by tracing shapes: nothing is computed.

    Args:
      model: any network; shapes are enough (`nnx.eval_shape`).

    Raises:
      TypeError: a kernel that is in no layer of synapses, see `kernels.check_kernels`.
    """
    check_kernels(model)
    layers, found = dict(kernels(model)), Layout({}, {})
    graphdef, arrays = nnx.split(in_form(model, Form(train=False)))
    encodes = True

    def on_synapse(path: str, _: Any, inputs: jax.Array, outputs: jax.Array) -> None:
        before = found.synapses.get(path, LayerShape(layers[path], 0, 0, encodes))  # of a layer that runs twice
        found.synapses[path] = before._replace(
            inputs=before.inputs + inputs.size, outputs=before.outputs + outputs.size
        )

    def on_neurons(path: str, _: Any, current: jax.Array, spikes: jax.Array) -> None:
        found.shapes[path] = spikes.shape[1:]

    def one_input(arrays: Any) -> None:
        nonlocal encodes
        module: Any = nnx.merge(graphdef, arrays, copy=True)
        watch(module, on_synapse, on_neurons)
        current = module.encode(jnp.zeros((1, *model.input_shape), jnp.float32))
        encodes = False
        module(None, current, Tick(0))

    jax.eval_shape(one_input, arrays)
    return found
