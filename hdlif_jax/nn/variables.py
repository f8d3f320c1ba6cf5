"""A network module, and its arrays as plain nested dicts: optax, checkpoints and gradients need to know no Flax."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.module import Tick

Params = dict[Any, Any]  # nested dicts of arrays, by module path


class Variables(NamedTuple):
    """The arrays of a network that outlive a sequence, as nested dicts by module path.

    Attributes:
      params: what the optimiser moves.
      batch_stats: running statistics of BatchNorm and Mem-BN.
    """

    params: Params
    batch_stats: Params


class SpikingNetwork(Protocol):
    """What a network module has; see `Sequential` and `SpikingResNet`."""

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int

    def encode(self, x: jax.Array) -> jax.Array:
        """The memoryless stem, `[B, ...]` to a current."""

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step, from the stem's current to logits `[B, K]`."""


def variables_of(model: SpikingNetwork) -> Variables:
    """Copies of the parameters and statistics of a model."""
    params, batch_stats = (nnx.to_pure_dict(nnx.state(model, kind)) for kind in (nnx.Param, nnx.BatchStat))
    return jax.tree.map(jnp.copy, Variables(params, batch_stats))


def with_variables(model: SpikingNetwork, variables: Variables) -> SpikingNetwork:
    """A copy of a model that holds these parameters and statistics.

    Raises:
      ValueError: they have another structure than the model's, or arrays of other shapes.
    """
    graphdef, *templates = nnx.split(model, nnx.Param, nnx.BatchStat)
    return nnx.merge(graphdef, *filled(variables, templates), copy=True)


def filled(variables: Variables, templates: list[nnx.State]) -> list[nnx.State]:
    """NNX states with the structure of `templates` and the arrays of `variables`."""
    states = []
    for name, tree, template in zip(Variables._fields, variables, templates, strict=True):
        expected = _shapes(nnx.to_pure_dict(template))
        found = _shapes(tree)
        if found.keys() != expected.keys():
            raise ValueError(f"{name} have another structure than the network; build both from the same model")
        for path, shape in found.items():
            if shape != expected[path]:
                raise ValueError(
                    f"{name}: {path} has shape {shape} but the network's has {expected[path]}; build both from the "
                    "same model, with the same widths and number of time-steps"
                )
        states.append(jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(tree)))
    return states


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {
        ".".join(str(entry.key) for entry in path): jnp.shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
