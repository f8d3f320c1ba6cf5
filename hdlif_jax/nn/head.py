"""The last layers of a network where they are more than one."""

from typing import Any

import jax
from flax import nnx

from hdlif_jax.nn.cell import SpikeInput, emitted
from hdlif_jax.nn.module import Carry, Module, Stateful, Tick
from hdlif_jax.nn.spec import Spec
from hdlif_jax.nn.synapses import Linear


class SpikingHead(Stateful):
    """Linear → neuron → linear, the head of ResNet-19."""

    def __init__(
        self,
        in_features: int,
        hidden: int,
        num_classes: int,
        *,
        spikes: SpikeInput | None = None,
        spec: Spec,
        rngs: nnx.Rngs,
    ):
        self.hidden = Linear(in_features, hidden, spikes=spikes, rngs=rngs)
        self.neuron = spec.neuron(spec.num_steps, hidden)
        self.dropout = spec.make_dropout()
        self.output = Linear(hidden, num_classes, spikes=emitted(self.neuron, self.dropout), rngs=rngs)

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step: averaged currents or spikes `[B, C]` to logits `[B, num_classes]`."""
        carry = Carry(state, tick)
        logits = self.output(carry.through(self.hidden(current), self.neuron, self.dropout))
        return carry.state, logits


class LinearPair(Module):
    """Two linear layers without biases and without neurons between them, the head of GLIF's code for CIFAR-10."""

    composes = True

    def __init__(self, in_features: int, hidden: int, num_classes: int, *, spikes: SpikeInput, rngs: nnx.Rngs):
        self.hidden = Linear(in_features, hidden, spikes=spikes, bias=False, rngs=rngs)
        self.output = Linear(hidden, num_classes, bias=False, rngs=rngs)

    def __call__(self, spikes: jax.Array) -> jax.Array:
        """Averaged spikes `[B, C]` to logits `[B, num_classes]`."""
        return self.output(self.hidden(spikes))
