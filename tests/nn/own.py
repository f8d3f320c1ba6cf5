"""Cells, layers and loops that are not the library's, for tests of what it promises to those who extend it."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.neurons.surrogates import triangle


@dataclasses.dataclass(frozen=True)
class synaptic:  # noqa: N801
    """A LIF neuron with a synaptic current of its own, two arrays in a dict, that does not start at zero."""

    potential: float = 0.6

    def __call__(self, num_steps, num_channels):
        return SynapticCell(num_steps, self.potential)


class SynapticCell(nn.NeuronCell):
    emits = nn.BINARY
    operations = 5

    def __init__(self, num_steps, potential):
        self.raw_decay = nn.PerStepParam(jnp.zeros(num_steps))
        self.potential = potential

    def start(self, x):
        return {"current": jnp.zeros_like(x), "potential": jnp.full_like(x, self.potential)}

    def advance(self, state, x, tick):
        current = jax.nn.sigmoid(self.raw_decay[tick.t]) * state["current"] + x
        membrane = 0.75 * state["potential"] + current
        spikes = triangle()(membrane - 1)
        return {"current": current, "potential": membrane - spikes}, spikes


class LearnedStartCell(nn.HDLIFCell):
    """HD-LIF whose potential before the first step is learned."""

    def __init__(self, num_steps, quantize):
        super().__init__(num_steps, quantize)
        self.first = nnx.Param(jnp.float32(0.3))

    def start(self, x):
        return jnp.broadcast_to(self.first[...], x.shape)


class RefractoryCell(nn.NeuronCell):
    """A neuron that counts the steps, in integers, for which it is silent after a spike."""

    emits = nn.BINARY
    operations = 4

    def __init__(self):
        self.threshold = nnx.Param(jnp.float32(0.5))

    def start(self, x):
        return jnp.zeros_like(x), jnp.zeros(x.shape, jnp.int32)

    def advance(self, state, x, tick):
        potential, wait = state
        membrane = 0.5 * potential + x
        spikes = jnp.where(wait > 0, 0, triangle()(membrane - self.threshold[...]))
        return (membrane - spikes, jnp.where(spikes > 0, 2, jnp.maximum(wait - 1, 0))), spikes


class Scale(nnx.Module):
    """A layer without state, not of the library's base class: a factor for each feature."""

    def __init__(self, features):
        self.factor = nnx.Param(jnp.linspace(0.5, 1.5, features))

    def __call__(self, x):
        assert x.ndim == 2, "a layer sees a batch and never the time"
        return x * self.factor[...][None, :]


def features(*layers, num_steps=4, input_shape=(5,)):
    """A network on features: the layers, then logits of three classes."""
    return nn.Sequential(*layers, nn.Linear(6, 3, rngs=nnx.Rngs(9)), num_steps=num_steps, input_shape=input_shape)


def step_by_step(network, variables, inputs, key=None, offsets=None):
    """What `network.sequence` gives, by a loop over `encode` and `step`."""
    params, batch_stats = network.quantize(variables.params), variables.batch_stats
    static = inputs.ndim == len(network.input_shape) + 1
    if static:
        current, batch_stats = network.encode(params, batch_stats, inputs)
    state, logits, records = None, [], []
    for t in range(network.num_steps):
        if not static:
            current, batch_stats = network.encode(params, batch_stats, inputs[t])
        at_t = jax.tree.map(lambda offset, t=t: offset[t], offsets)
        state, step_logits, batch_stats, record = network.step(
            params, batch_stats, state, current, nn.Tick(t, key), at_t
        )
        logits.append(step_logits)
        records.append(record)
    return nn.SequenceOutput(jnp.stack(logits), batch_stats, jax.tree.map(lambda *steps: jnp.stack(steps), *records))


class RecurrentCell(nn.NeuronCell):
    """LIF neurons that read their own spikes of the step before through a layer inside the cell."""

    emits = nn.BINARY
    operations = 4

    def __init__(self, features):
        self.feedback = nn.Linear(features, features, weights="ternary", rngs=nnx.Rngs(7))

    def start(self, x):
        return jnp.zeros_like(x), jnp.zeros_like(x)

    def advance(self, state, x, tick):
        potential, spikes = state
        membrane = 0.5 * potential + x + self.feedback(spikes)
        spikes = triangle()(membrane - 1)
        return (membrane - spikes, spikes), spikes


class SlowCell(nn.NeuronCell):
    """LIF with a trace of its spikes that raises the threshold at the next step, by a strength inside of the state."""

    emits, operations = nn.BINARY, 4

    def __init__(self, num_steps, num_channels):
        self.raw_strength = nnx.Param(jnp.zeros(()))

    def start(self, x):
        return {"potential": jnp.zeros_like(x), "raised": jnp.zeros_like(x)}

    def advance(self, state, x, tick):
        membrane = 0.5 * state["potential"] + x
        spikes = triangle()(membrane - 0.5 - state["raised"])
        return {"potential": membrane - spikes, "raised": jax.nn.softplus(self.raw_strength[...]) * spikes}, spikes
