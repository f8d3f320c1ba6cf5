"""Networks of one layer after the other."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Count, Widths, check_arguments
from hdlif_jax.nn.arrays import check_dropout
from hdlif_jax.nn.cell import Cell, CellFactory, NeuronCell, SpikeInput
from hdlif_jax.nn.cells import Dropout
from hdlif_jax.nn.declared import definer
from hdlif_jax.nn.module import Carry, Stateful, Tick
from hdlif_jax.nn.norms import batch_norm, no_norm
from hdlif_jax.nn.pooling import AvgPool2x2, Flatten, GlobalAverage, MaxPool2x2, MaxPool3x3
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Linear, Synapse

Layer = nnx.Module | CellFactory | batch_norm | no_norm


class Sequential(Stateful):
    """One layer after the other; what stands before the first cell is the stem, which runs once on static inputs.

    Layers of synapses behind a cell learn what it emits, for costs and the integer forward, also through pooling.

    Args:
      *layers: modules `x -> y`, stateful modules `(state, x, tick) -> (state, y)`, or cell factories such as
        `nn.lif()` or a class of cells, whose number of channels follows from the layers before them, as that of
        `nn.batch_norm()`.
      num_steps: T.
      input_shape: of one input at one time-step, such as (F,) or (H, W, C).

    Raises:
      ValueError: layers that do not fit each other, or none that is stateful.
      TypeError: what is no layer.

    Example:
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> rngs = nnx.Rngs(0)
      >>> model = nn.Sequential(
      ...     nn.Linear(8, 32, rngs=rngs), nn.lif(), nn.Linear(32, 3, rngs=rngs), num_steps=4, input_shape=(8,)
      ... )
      >>> model.num_classes
      3
    """

    @check_arguments
    def __init__(self, *layers: Layer, num_steps: Count, input_shape: Widths):
        self.num_steps, self.input_shape = num_steps, tuple(input_shape)
        self.layers: nnx.List[Any] = nnx.List()
        shape: tuple[int, ...] = (1, *self.input_shape)
        reads: SpikeInput | None = None
        for index, layer in enumerate(layers):
            if not callable(layer) or (inspect.isclass(layer) and not issubclass(layer, Cell)):
                raise TypeError(f"layer {index}, {layer!r}, is no module and makes none; call it first")
            module = _made(layer, num_steps, shape[-1])
            check_dropout(module)
            if isinstance(module, Synapse) and module.spikes is None:
                module.spikes = reads
            before, shape = shape, _shape_after(index, module, shape)
            reads = _emitted(module, reads, before)
            self.layers.append(module)
        self.num_stem = next((i for i, module in enumerate(self.layers) if isinstance(module, Stateful)), len(layers))
        if self.num_stem == len(layers):
            raise ValueError("no layer is stateful: a spiking network has at least one cell, such as nn.lif()")
        if len(shape) != 2:
            raise ValueError(f"the last layer gives {shape[1:]} for an input; end in logits (K,), e.g. with nn.Linear")
        self.num_classes = shape[-1]

    def encode(self, x: jax.Array) -> jax.Array:
        """The layers before the first cell: `[B, ...]` to a current."""
        for layer in list(self.layers)[: self.num_stem]:
            x = layer(x)
        return x

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: the stem's current to logits `[B, K]`."""
        carry, x = Carry(state, tick), current
        for layer in list(self.layers)[self.num_stem :]:
            x = carry(layer, x) if isinstance(layer, Stateful) else layer(x)
        return carry.state, x


@check_arguments
def mlp(
    input_shape: Widths,
    num_classes: Count,
    *,
    widths: Widths = (128,),
    spec: Spec = Spec(),
    rngs: nnx.Rngs,
) -> Sequential:
    """A perceptron: flatten, then linear layer and neurons for each width, and a linear layer of logits.

    Args:
      input_shape: of one input, any rank.
      num_classes: width of the output.
      widths: neurons of each hidden layer.
      spec: neurons, weights and dropout; the first and the last layer are float, and there is no normaliser.
      rngs: source of the initial kernels.

    Raises:
      ValueError: no hidden layer.
    """
    features = 1
    for size in input_shape:
        features *= size
    layers: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    for index, width in enumerate(widths):
        quantized: dict[str, Any] = {"weights": spec.weights, "init": spec.init} if index else {}
        layers += [Linear(features, width, **quantized, rngs=rngs), spec.neuron]
        layers += [Dropout(spec.dropout)] if spec.dropout else []
        features = width
    layers.append(Linear(features, num_classes, rngs=rngs))
    return Sequential(*layers, num_steps=spec.num_steps, input_shape=input_shape)


def _made(layer: Any, num_steps: int, num_channels: int) -> nnx.Module:
    """The layer, or what a factory of cells or of BatchNorm makes."""
    if isinstance(layer, nnx.Module):
        return layer
    if isinstance(layer, batch_norm | no_norm):
        return layer(num_channels, nnx.Rngs(0))  # draws nothing
    made: nnx.Module = layer(num_steps, num_channels)
    return made


def _shape_after(index: int, module: nnx.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    def run(x: jax.Array) -> jax.Array:
        call: Callable[..., Any] = nnx.clone(module)
        y: jax.Array = call(None, x, Tick(0))[1] if isinstance(module, Stateful) else call(x)
        return y

    try:
        after: tuple[int, ...] = jax.eval_shape(run, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
    except (AssertionError, TypeError, ValueError, IndexError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"layer {index} ({type(module).__name__}) cannot read an input of shape {shape[1:]}: {first_line}"
        ) from error
    return after


def _emitted(module: nnx.Module, reads: SpikeInput | None, shape: tuple[int, ...]) -> SpikeInput | None:
    """What the layer behind a module reads: the spikes before it, pooled or not; None for currents."""
    if isinstance(module, NeuronCell):
        return module.emits
    runs = definer(type(module), "advance" if isinstance(module, Cell) else "__call__")  # a subclass may do otherwise
    if reads is None or runs in (Flatten, MaxPool2x2, MaxPool3x3):
        return reads
    if runs is Dropout:  # scales what it keeps, while training, off the grid of levels
        return reads.off_grid
    if runs is AvgPool2x2:
        return reads._replace(pooled=4 * reads.pooled)
    if runs is GlobalAverage:
        return reads._replace(pooled=shape[1] * shape[2] * reads.pooled)
    return None
