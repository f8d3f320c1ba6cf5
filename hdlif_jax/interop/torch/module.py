"""A `Sequential` of ours from layers of a living PyTorch network, one after the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flax import nnx

from hdlif_jax import nn
from hdlif_jax.checks import Count, Widths, check_arguments
from hdlif_jax.interop.torch.layers import LIBRARIES, children_of, is_container
from hdlif_jax.interop.torch.load import Imported, from_state_dict
from hdlif_jax.interop.torch.neurons import neuron_of


@check_arguments
def from_layers(layers: Iterable[Any], *, input_shape: Widths, num_steps: Count) -> Imported:
    """A `Sequential` that computes what layers of PyTorch, SpikingJelly and snnTorch do one after the other.

    Args:
      layers: a `torch.nn.Sequential`, or the layers in the order of their calls, such as
        `[net.fc1, net.lif1, net.fc2, net.lif2]`. Neither is trained on: the weights are copies.
      input_shape: of one input at one time-step here, channels last: (H, W, C) or (F,).
      num_steps: T.

    Returns:
      The network, and what was matched. Its outputs are those of the last layer at every step, such as spikes to count.

    Raises:
      TypeError: no layers.
      ValueError: a layer that none of ours does exactly, by name, or layers that do not fit the input.
    """
    made: list[Any] = []
    names: dict[str, str] = {}
    parts: dict[str, Any] = {}
    for name, module in _flat(layers, ""):
        try:
            ours = _made(module)
            # snnTorch's neurons of init_hidden=False are handed their membranes.
            if isinstance(ours, nn.lif) and module in parts.values() and getattr(module, "init_hidden", True):
                raise ValueError("it stands at two places, which share its membrane; ours have one each")
        except ValueError as error:
            raise ValueError(f"layer {name} is refused: {type(module).__name__}: {error}") from None
        if ours is not None:
            names[f"layers.{len(made)}"], parts[name] = name, module
            made.append(ours)
    model = nn.Sequential(*made, num_steps=num_steps, input_shape=input_shape)
    return from_state_dict(model, _Layers(parts), naming=names)


class _Layers:
    """Living layers by name, as a network of them shows itself."""

    def __init__(self, parts: dict[str, Any]):
        self._parts = parts

    def named_modules(self, remove_duplicate: bool) -> Iterable[tuple[str, Any]]:
        return self._parts.items()

    def state_dict(self) -> dict[str, Any]:
        return {f"{name}.{key}": v for name, part in self._parts.items() for key, v in part.state_dict().items()}


def _flat(layers: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Layers by name, those of containers among them."""
    if isinstance(layers, dict | str) or not isinstance(layers, Iterable):
        raise TypeError(f"layers are a {type(layers).__name__}; give a torch.nn.Sequential or a list of layers")
    is_module = hasattr(layers, "named_modules")
    if is_module and not is_container(layers):
        what = type(layers).__name__
        raise TypeError(f"what {what} does with its layers cannot be seen; give them as a list, in the order of calls")
    named = children_of(layers) if is_module else enumerate(layers)
    for name, module in named:
        if not hasattr(module, "state_dict"):
            raise TypeError(f"layer {prefix}{name} is a {type(module).__name__}; give layers of torch.nn")
        if is_container(module):
            yield from _flat(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module


def _made(module: Any) -> Any:
    """Our layer for one of theirs; None where there is nothing to do."""
    neuron = neuron_of(module)
    if neuron is not None:
        return neuron
    make = MAKES.get(type(module).__name__)
    if make is None or type(module).__module__.split(".")[0] not in LIBRARIES:
        raise ValueError("none of our layers does what this class does")
    return make(module)


def _convolution(module: Any) -> nn.Conv:
    size, stride, padding = _one("kernel_size", module), _one("stride", module), _padding(module)
    if module.groups != 1 or _one("dilation", module) != 1 or module.padding_mode != "zeros":
        raise ValueError("groups, dilation and padding with other than zeros are none of our convolutions'")
    return nn.Conv(
        module.in_channels,
        module.out_channels,
        size,
        stride=stride,
        padding=padding,
        bias=module.bias is not None,
        rngs=nnx.Rngs(0),
    )


def _padding(module: Any) -> int:
    if module.padding == "valid":
        return 0
    if module.padding == "same":
        if _one("kernel_size", module) % 2 == 0:
            raise ValueError("padding='same' of an even kernel has more zeros on one side, and ours has as many")
        return _one("kernel_size", module) // 2
    return _one("padding", module)


def _linear(module: Any) -> nn.Linear:
    return nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, rngs=nnx.Rngs(0))


def _norm(module: Any) -> nn.batch_norm:
    if not module.track_running_stats:
        raise ValueError("it has no running statistics, which inference needs")
    momentum = 0.1 if module.momentum is None else module.momentum
    return nn.batch_norm(momentum=1 - momentum, epsilon=module.eps, unbiased=True)


def _maximum(module: Any) -> nnx.Module:
    shape = _window(module)
    if shape not in MAXIMA or _one("dilation", module) != 1 or module.ceil_mode:
        raise ValueError(f"a maximum over {shape[0]}×{shape[0]} with stride {shape[1]} and padding {shape[2]} {ONLY}")
    return MAXIMA[shape]()


def _average(module: Any) -> nnx.Module:
    shape = _window(module)
    plain = not module.ceil_mode and module.divisor_override is None and (shape[2] == 0 or module.count_include_pad)
    if shape not in AVERAGES or not plain:
        raise ValueError(f"an average over {shape[0]}×{shape[0]} with stride {shape[1]} and padding {shape[2]} {ONLY}")
    return AVERAGES[shape]()


def _adaptive(module: Any) -> nnx.Module:
    size = _one("output_size", module)
    return nn.GlobalAverage() if size == 1 else nn.AdaptiveAverage(size)


def _flatten(module: Any) -> nn.Flatten:
    if module.start_dim != 1 or module.end_dim != -1:
        raise ValueError("ours flattens all but the batch, start_dim=1 and end_dim=-1")
    return nn.Flatten()


def _dropout(module: Any) -> nn.Dropout | None:
    once = type(module).__module__.startswith("spikingjelly")  # whose mask is the same at all steps
    return nn.Dropout(module.p, "sequence" if once else "step") if module.p else None


def _window(module: Any) -> tuple[int, int, int]:
    return _one("kernel_size", module), _one("stride", module), _one("padding", module)


def _one(name: str, module: Any) -> int:
    """A number that is the same in both directions."""
    value = getattr(module, name)
    if isinstance(value, tuple | list):
        if len(set(value)) != 1:
            raise ValueError(f"its {name} is {tuple(value)}, and ours is the same in both directions")
        value = value[0]
    if not isinstance(value, int):
        raise ValueError(f"its {name} is {value!r}, and ours is a number")
    return value


ONLY = "is none of ours, which are over 2×2 with stride 2 and over 3×3 with stride 2 and padding 1"
MAXIMA: dict[tuple[int, int, int], type[nnx.Module]] = {(2, 2, 0): nn.MaxPool2x2, (3, 2, 1): nn.MaxPool3x3}
AVERAGES: dict[tuple[int, int, int], type[nnx.Module]] = {(2, 2, 0): nn.AvgPool2x2, (3, 2, 1): nn.AvgPool3x3}
MAKES: dict[str, Callable[[Any], Any]] = {
    "Conv2d": _convolution,
    "Linear": _linear,
    "BatchNorm1d": _norm,
    "BatchNorm2d": _norm,
    "MaxPool2d": _maximum,
    "AvgPool2d": _average,
    "AdaptiveAvgPool2d": _adaptive,
    "Flatten": _flatten,
    "Dropout": _dropout,
    "Identity": lambda module: None,
}
