"""The layers of a network of ours that hold something, in the order of their calls, and what they read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax.nn import (
    SECA,
    AdaptiveAverage,
    AvgPool2x2,
    AvgPool3x3,
    BatchNorm,
    Conv,
    Flatten,
    GlobalAverage,
    LIFCell,
    Linear,
    MaxPool2x2,
    MaxPool3x3,
    NeuronCell,
    SpikingNetwork,
    Stateful,
    Tick,
)
from hdlif_jax.nn.intercept import intercept, modules

KINDS: dict[type[nnx.Module], str] = {
    Conv: "convolution",
    Linear: "linear",
    BatchNorm: "norm",
    LIFCell: "neuron",
    SECA: "attention",
}
AVERAGES = (AvgPool2x2, AvgPool3x3, GlobalAverage, AdaptiveAverage)
MAXIMA = (MaxPool2x2, MaxPool3x3)
Image = tuple[int, int, int]  # (H, W, C)


class Place(NamedTuple):
    """A layer that arrays have a place in.

    Attributes:
      path: `"blocks.0.conv1"`.
      module: of the model.
      kind: "convolution", "linear", "norm", "neuron", "attention", or "other", whose arrays have no counterpart.
      flat: the image that the features which it reads were before they were flattened; None for others.
    """

    path: str
    module: Any
    kind: str
    flat: Image | None

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """Its own arrays by name."""
        own = {name: value for name, value in vars(self.module).items() if isinstance(value, nnx.Variable)}
        return {name: np.asarray(value[...]) for name, value in own.items()}


class Places(NamedTuple):
    """What a network is made of.

    Attributes:
      layers: that hold arrays, and LIF neurons; one that is called twice is there once.
      pools: the pooling, such as "maximum of spikes".
    """

    layers: list[Place]
    pools: list[str]


def places_of(model: SpikingNetwork) -> Places:
    """The layers and the pooling of a network, in the order of their calls."""
    own = dict(modules(model))
    found: dict[str, Place] = {}
    pools: list[str] = []
    image: Image | None = None
    before: nnx.Module | None = None

    def choose(path: str, module: nnx.Module) -> Callable[..., Any] | None:
        kind = next((name for base, name in KINDS.items() if isinstance(module, base)), "other")
        holds = isinstance(module, NeuronCell) or any(
            isinstance(value, nnx.Variable) for value in vars(module).values()
        )
        pooling = "average" if isinstance(module, AVERAGES) else "maximum" if isinstance(module, MAXIMA) else None
        if not holds and pooling is None and not isinstance(module, Flatten):
            return None

        def seen(call: Callable[..., Any], *arguments: Any) -> Any:
            nonlocal image, before
            x = arguments[1] if isinstance(module, Stateful) else arguments[0]
            if isinstance(module, Flatten):
                image = x.shape[1:] if x.ndim == 4 else image
                return call(*arguments)
            read, before = before, module
            if pooling is not None:
                pools.append(f"{pooling} of {'spikes' if isinstance(read, NeuronCell) else 'currents'}")
                return call(*arguments)
            if kind == "other" and not any(isinstance(value, nnx.Variable) for value in vars(module).values()):
                return call(*arguments)
            flat = image if image is not None and int(np.prod(image)) == x.shape[-1] else None
            found.setdefault(path, Place(path, own[path], kind, flat))
            image = None if kind == "linear" else image
            return call(*arguments)

        return seen

    watched: Any = nnx.clone(model)
    intercept(watched, choose)

    def run(x: jax.Array) -> Any:
        return watched(None, watched.encode(x), Tick(0))

    jax.eval_shape(run, jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32))
    return Places(list(found.values()), pools)
