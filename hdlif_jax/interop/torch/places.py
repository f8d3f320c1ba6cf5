"""The layers of a network of ours that hold something, in the order of their calls, and what they read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax.interop.torch.pools import Pool
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
POOLS: dict[type[nnx.Module], tuple[str, tuple[int, int, int] | None]] = {  # with size, stride and padding
    AvgPool2x2: ("average", (2, 2, 0)),
    AvgPool3x3: ("average", (3, 2, 1)),
    GlobalAverage: ("average", None),
    AdaptiveAverage: ("average", None),
    MaxPool2x2: ("maximum", (2, 2, 0)),
    MaxPool3x3: ("maximum", (3, 2, 1)),
}
Image = tuple[int, int, int]  # (H, W, C)


class Place(NamedTuple):
    """A layer that arrays have a place in.

    Attributes:
      path: `"blocks.0.conv1"`.
      module: of the model.
      kind: "convolution", "linear", "norm", "neuron", "attention", or "other", whose arrays have no counterpart.
      flat: the image that the features which it reads were before they were flattened, by whatever code; None for
        others.
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
      pools: the pooling, one after the other.
    """

    layers: list[Place]
    pools: list[Pool]


def places_of(model: SpikingNetwork) -> Places:
    """The layers and the pooling of a network, in the order of their calls."""
    own = dict(modules(model))
    found: dict[str, Place] = {}
    pools: list[Pool] = []
    image: Any = model.input_shape if len(model.input_shape) == 3 else None
    before: nnx.Module | None = None

    def choose(path: str, module: nnx.Module) -> Callable[..., Any] | None:
        kind = next((name for base, name in KINDS.items() if isinstance(module, base)), "other")
        holds = isinstance(module, NeuronCell) or any(
            isinstance(value, nnx.Variable) for value in vars(module).values()
        )
        pooling = next((pool for base, pool in POOLS.items() if isinstance(module, base)), None)
        if not holds and pooling is None and not isinstance(module, Flatten):
            return None

        def seen(call: Callable[..., Any], *arguments: Any) -> Any:
            nonlocal image, before
            x = arguments[1] if isinstance(module, Stateful) else arguments[0]
            image = x.shape[1:] if x.ndim == 4 else image
            if pooling is not None:
                pools.append(Pool(pooling[0], "spikes" if isinstance(before, NeuronCell) else "currents", pooling[1]))
            elif kind != "other" or any(isinstance(value, nnx.Variable) for value in vars(module).values()):
                is_flat = x.ndim == 2 and image is not None and int(np.prod(image)) == x.shape[-1]
                found.setdefault(path, Place(path, own[path], kind, image if is_flat else None))
            before = before if isinstance(module, Flatten) else module
            result = call(*arguments)
            y = result[1] if isinstance(module, Stateful) else result
            image = y.shape[1:] if getattr(y, "ndim", 0) == 4 else None if kind == "linear" else image
            return result

        return seen

    watched: Any = nnx.clone(model)
    intercept(watched, choose)

    def run(x: jax.Array) -> Any:
        return watched(None, watched.encode(x), Tick(0))

    jax.eval_shape(run, jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32))
    return Places(list(found.values()), pools)
