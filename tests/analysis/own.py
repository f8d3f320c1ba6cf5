"""Neurons and networks as a user writes them, of parts that the library does not know."""

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.neurons.surrogates import triangle


class AdaptiveLIFCell(nn.NeuronCell):
    """LIF whose threshold rises with its own spikes: two arrays of state, one learned scalar."""

    emits = nn.BINARY
    operations = 5  # leak, charge, reset, and leak and rise of the threshold

    def __init__(self):
        self.rise = nnx.Param(jnp.float32(0.3))

    def start(self, x):
        return {"potential": jnp.zeros_like(x), "adaptation": jnp.zeros_like(x)}

    def advance(self, state, x, tick):
        membrane = 0.5 * state["potential"] + x
        spikes = triangle()(membrane - 1 - self.rise[...] * state["adaptation"])
        return {"potential": membrane - spikes, "adaptation": 0.9 * state["adaptation"] + spikes}, spikes


def adaptive_lif(num_steps, num_channels):
    return AdaptiveLIFCell()


def sequential(num_steps=3, **changes):
    """A perceptron of adaptive neurons on vectors of five numbers."""
    rngs = nnx.Rngs(0)
    layers = {"first": nn.Linear(5, 8, rngs=rngs), "neuron": adaptive_lif, "head": nn.Linear(8, 3, rngs=rngs)}
    return nn.Sequential(*(layers | changes).values(), num_steps=num_steps, input_shape=(5,))


def convolutional(num_steps=3):
    spec = nn.Spec(num_steps, neuron=adaptive_lif)
    return nn.conv_net((6, 6, 2), 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0))


def inputs_of(model, batch_size=6, seed=0):
    """A sequence `[T, B, ...]`."""
    return 2 * jax.random.normal(jax.random.key(seed), (model.num_steps, batch_size, *model.input_shape))
