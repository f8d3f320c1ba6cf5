"""A plain convolutional network of `Sequential`."""

from flax import nnx

from hdlif_jax.nn.pooling import GlobalAverage
from hdlif_jax.nn.sequential import Layer, Sequential
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Conv, Linear


def plain_net(
    input_shape: tuple[int, int, int], num_classes: int, *, width: int = 32, spec: Spec = Spec(), rngs: nnx.Rngs
) -> Sequential:
    """Two convolutions with neurons, global average, one linear layer."""
    layers: list[Layer] = [
        Conv(input_shape[-1], width, rngs=rngs),
        spec.norm(width, rngs),
        spec.neuron,
        Conv(width, width, weights=spec.weights, rngs=rngs),
        spec.norm(width, rngs),
        spec.neuron,
        GlobalAverage(),
        Linear(width, num_classes, rngs=rngs),
    ]
    return Sequential(*layers, num_steps=spec.num_steps, input_shape=input_shape)
