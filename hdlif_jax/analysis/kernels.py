"""Which layers of a network costs can count: by what they declare, or by their very type; all others are refused."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from flax import nnx

from hdlif_jax.nn import Cell, NeuronCell, PerStepParam, SpikeInput, Stateful, Synapse
from hdlif_jax.nn.declared import definer, holds
from hdlif_jax.nn.intercept import modules, original
from hdlif_jax.quantize import WeightKind


class Kernel(NamedTuple):
    """What costs know of a convolution or linear layer, each of whose outputs is a sum over a column of its kernel.

    Attributes:
      shape: `[..., C_in, C_out]`.
      num_biases: entries of its bias.
      weights: kind of the kernel's entries.
      spikes: what it reads; None for currents.
    """

    shape: tuple[int, ...]
    num_biases: int
    weights: WeightKind
    spikes: SpikeInput | None

    @property
    def num_parameters(self) -> int:
        """Entries of kernel and bias."""
        return math.prod(self.shape) + self.num_biases


def kernel_of(path: str, module: nnx.Module) -> Kernel | None:
    """What a layer of synapses is made of; None for any other module.

    Flax's own linear and convolution layers do not say what they read; they are counted as reading currents.

    Raises:
      TypeError: a synapse with code of its own that does not declare what it computes.
    """
    kind, layer = original(type(module)), module
    if kind is nnx.Linear or (kind is nnx.Conv and _is_dense(layer)):
        return Kernel(layer.kernel.shape, _size(layer.bias), "float", None)  # type: ignore[attr-defined]
    if not isinstance(layer, Synapse):
        return None
    if definer(kind, "effective_kernel") is not Synapse:
        raise TypeError(
            f"{path} ({kind.__name__}) has an effective_kernel of its own, and nobody knows how many bits its weights "
            "have; quantise by weights='binary' or weights='ternary' to count it"
        )
    if not layer.weighted_sum or not holds(kind, "weighted_sum", "__call__"):
        raise TypeError(
            f"{path} ({kind.__name__}) has a __call__ of its own and does not say what it costs; if every output is "
            "a sum of inputs times entries of kernel[..., c], and a bias, set weighted_sum = True in its class"
        )
    return Kernel(layer.kernel.shape, _size(getattr(layer, "bias", None)), layer.weights, layer.spikes)


def kernels(model: Any) -> Iterator[tuple[str, Kernel]]:
    """Every convolution and linear layer of a model, with its path.

    Raises:
      TypeError: see `kernel_of`.
    """
    for path, module in modules(model):
        if (kernel := kernel_of(path, module)) is not None:
            yield path, kernel


def check_kernels(model: Any) -> None:
    """Looks for kernels whose operations nobody would count.

    Raises:
      TypeError: a module that is neither layer of synapses nor neuron holds a parameter of two axes and more, time left
        out; or a synapse that does not declare what it computes.
    """
    for path, module in modules(model):
        if isinstance(module, NeuronCell | nnx.List | nnx.Dict) or kernel_of(path, module) is not None:
            continue
        for name, param in _own_params(module):
            if param.ndim - isinstance(param, PerStepParam) >= 2:
                raise TypeError(
                    f"{path or 'the network'} ({type(module).__name__}) has a {name} of shape {param.shape}, whose "
                    "operations nobody counts; use nn.Linear or nn.Conv, or derive the layer from nn.Synapse"
                )


def check_layers(model: Any) -> None:
    """Looks for layers that nobody can count.

    Raises:
      TypeError: see `check_kernels`; or a cell that does not declare what it costs and emits.
    """
    check_kernels(model)
    for path, module in modules(model):
        if isinstance(module, NeuronCell):
            _check_neuron(path, module)
        elif (path and _is_stateful_leaf(module)) and not _costs_nothing(module):
            raise TypeError(
                f"{path} ({type(module).__name__}) has a state and is no neuron, so that nobody counts it; derive it "
                "from nn.NeuronCell, or say operations = 0 in its class, if it computes nothing in inference"
            )


def _check_neuron(path: str, cell: NeuronCell) -> None:
    for name, example in (("operations", "the NOPs of a neuron and step, as operations = 3"),
                          ("emits", "what the layer behind it reads, as emits = nn.BINARY")):  # fmt: skip
        if not hasattr(cell, name):
            raise TypeError(f"{path} ({type(cell).__name__}) declares no {name}; give its class {example}")
    if not _says(cell, "operations"):
        kind = definer(original(type(cell)), "operations")
        raise TypeError(
            f"{path} ({type(cell).__name__}) has dynamics of its own and the operations of {kind.__name__}; give its "
            "class the NOPs of a neuron and step, as operations = 3"
        )


def _says(module: nnx.Module, name: str) -> bool:
    """Whether a cell says something of the dynamics that it has, by itself or in its class."""
    code = [method for method in ("advance", "__call__") if hasattr(module, method)]
    return name in vars(module) or holds(module, name, *code)


def _is_stateful_leaf(module: nnx.Module) -> bool:
    has_parts = any(part is not module for _, part in nnx.iter_modules(module))
    return isinstance(module, Cell) or (isinstance(module, Stateful) and not has_parts)


def _costs_nothing(module: nnx.Module) -> bool:
    return getattr(module, "operations", None) == 0 and _says(module, "operations")


def _is_dense(layer: Any) -> bool:
    """Whether a convolution of Flax meets every entry of a kernel's column at every output."""
    dilation = layer.input_dilation
    return layer.mask is None and (dilation in (None, 1) or all(step == 1 for step in dilation))


def _size(bias: Any) -> int:
    return 0 if bias is None else int(bias.size)


def _own_params(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters that a module holds itself, in attributes or in lists and dicts of them."""
    for name, value in vars(module).items():
        if isinstance(value, nnx.Param):
            yield prefix + name, value
        elif isinstance(value, nnx.List | nnx.Dict):
            yield from _own_params(value, f"{prefix}{name}.")
