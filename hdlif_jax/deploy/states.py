"""What the neurons of a network carry from step to step, as named arrays: an exported program has no other state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hdlif_jax.deploy import execute
from hdlif_jax.deploy.execute import States
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.graph import Neuron

SEPARATOR = "."


class Layout(NamedTuple):
    """The arrays that the neurons carry.

    Attributes:
      states: shapes and types by neuron, for a batch of two.
      nonzero: neurons that start from other values than zeros, with the shape of their current for one input.
    """

    states: States
    nonzero: tuple[tuple[Neuron, tuple[int, ...]], ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array without its batch axis, by name."""
        return {name: leaf.shape[1:] for name, leaf in named(self.states).items()}

    def unnamed(self, arrays: dict[str, jax.Array]) -> States:
        """The inverse of `named`."""
        states: States = jax.tree.map_with_path(lambda path, _: arrays[_name(path)], self.states)
        return states

    def begun(self, states: States, t: jax.Array, batch_size: int) -> States:
        """The same states, but at t = 0 those that a sequence begins with."""
        begun = dict(states)
        for neuron, shape in self.nonzero:
            first = neuron.start(jnp.zeros((batch_size, *shape), jnp.float32))
            begun[neuron.name] = jax.tree.map(lambda new, old: jnp.where(t == 0, new, old), first, states[neuron.name])
        return begun


def named(states: States) -> dict[str, jax.Array]:
    """Arrays by name: that of the neuron, or `"<neuron>.<field>"` where a neuron carries several."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(states)}


def layout(folded: Folded) -> Layout:
    """What the neurons of a network carry, by tracing shapes.

    Raises:
      ValueError: a neuron carries something else than float32 arrays `[B, ...]`.
    """
    graph = folded.graph

    def first_step(arrays: execute.Arrays, x: jax.Array) -> tuple[States, execute.Values]:
        current = execute.encode(graph, "float", arrays, x)
        return execute.advance(graph, "float", arrays, {}, current, 0, 1)

    batch = 2
    x = jax.ShapeDtypeStruct((1, batch, *graph.input_shape), jnp.float32)
    states, values = jax.eval_shape(first_step, folded.arrays, x)
    for name, leaf in named(states).items():
        if leaf.dtype != jnp.float32 or leaf.shape[:1] != (batch,):
            shape = ("B", *leaf.shape[1:]) if leaf.shape[:1] == (batch,) else leaf.shape
            raise ValueError(f"{name} carries {leaf.dtype} {list(shape)}; an artifact's state is float32 [B, ...]")
    currents = ((neuron, values[neuron.source].shape[2:]) for neuron in graph.neurons)
    return Layout(states, tuple((neuron, shape) for neuron, shape in currents if not _starts_at_zero(neuron, shape)))


def _starts_at_zero(neuron: Neuron, shape: tuple[int, ...]) -> bool:
    start = neuron.start(jnp.zeros((1, *shape), jnp.float32))
    return not any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(start))


def _name(path: tuple[object, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=SEPARATOR)
