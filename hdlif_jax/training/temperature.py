"""The choice of Dspike's temperature before an epoch (Li et al., "Differentiable Spike", NeurIPS 2021, Algorithm 1).

The loss as a function of the first layer's weights has finite differences, with spikes that are a step. Of the
temperature as it is, a little higher and a little lower, that is kept whose surrogate gradient points most nearly where
they do.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.checks import Count, Positive, check_arguments
from hdlif_jax.learning import Batch, Loss
from hdlif_jax.learning.base import as_batch, cells_key, check_trains
from hdlif_jax.learning.stbp import sequence_loss
from hdlif_jax.losses import check_loss
from hdlif_jax.nn import Network, Params, Variables
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.intercept import Interceptor
from hdlif_jax.nn.needs import check_variables

LOWEST = 0.1  # temperature; there the surrogate is a rectangle to 0.1 %

Path = tuple[Any, ...]


class Agreement(NamedTuple):
    """How surrogate gradients agree with finite differences of some weights.

    Attributes:
      differences: central differences of the loss `[n]`.
      cosines: with the gradient at each temperature `[N]`; 0 where either is 0.
    """

    differences: jax.Array
    cosines: jax.Array


@check_arguments
def choose_temperature(
    network: Network,
    loss: Loss,
    variables: Variables,
    batch: Batch,
    *,
    step: Positive = 0.2,
    epsilon: Positive = 0.1,
    num_weights: Count | None = 64,
    layer: str | None = None,
    key: jax.Array | None = None,
) -> Variables:
    """The variables with another temperature, the same in all cells of `surrogates.dspike`; to be jitted.

    Args:
      network: in training form, of cells whose surrogate is `surrogates.dspike`.
      loss: a sequence loss, or a step loss, of which the sum over the steps is taken.
      variables: of the network.
      batch: inputs and labels. The loss is constant between spikes: a small batch has zeros for differences, and then
        the temperature stays.
      step: by how much a temperature is higher or lower; none falls below 0.1.
      epsilon: by how much a weight is moved to either side.
      num_weights: so many of the layer's weights are drawn; None takes all.
      layer: path of the layer; None is the first.
      key: draws the weights, and is for cells that draw.

    Raises:
      TypeError: what is no network, loss or key.
      ValueError: a network in inference form, or without such cells or layer; or no key to draw weights by.
    """
    check_trains(network, key)
    check_loss(loss)
    check_variables(variables)
    batch = as_batch(batch)
    cells = temperatures_in(network)
    path = _layer(network, layer or _first_synapse(network, variables, batch, key))
    kernel = _at(variables.params, path)
    candidates = _at(variables.batch_stats, cells[0]) + jnp.array([0, step, -step], jnp.float32)
    candidates = jnp.where(candidates < LOWEST, LOWEST, candidates)

    def value(kernel: jax.Array, temperature: jax.Array) -> jax.Array:
        params = _with(variables.params, [path], kernel)
        stats = _with(variables.batch_stats, cells, temperature)
        output = network.sequence(network.quantize(params), stats, batch.inputs, cells_key(key))
        return sequence_loss(loss, output.logits, batch.labels)

    indices = jnp.arange(kernel.size, dtype=jnp.int32)
    if num_weights is not None and num_weights < kernel.size:
        if key is None:
            raise ValueError(
                f"num_weights={num_weights} of {kernel.size} weights are drawn; give a key, e.g. jax.random.key(0), or "
                "num_weights=None for all"
            )
        indices = jax.random.permutation(key, indices)[:num_weights]
    found = agreement(value, kernel, candidates, indices, epsilon)
    best = candidates[jnp.argmax(found.cosines)]  # the first of equals, the temperature as it is
    return Variables(variables.params, _with(variables.batch_stats, cells, best))


def agreement(
    value: Callable[[jax.Array, jax.Array], jax.Array],
    kernel: jax.Array,
    temperatures: jax.Array,
    indices: jax.Array,
    epsilon: float,
) -> Agreement:
    """Compares gradients at several temperatures with finite differences, which do not depend on them.

    Args:
      value: `(kernel, temperature) -> loss`, whose spikes are a step.
      kernel: any shape.
      temperatures: `[N]`.
      indices: `[n]`, of the weights that are moved, in the flat kernel.
      epsilon: by how much.
    """

    def moved(step: tuple[jax.Array, jax.Array]) -> jax.Array:
        index, by = step
        return value(kernel.reshape(-1).at[index].add(by).reshape(kernel.shape), temperatures[0])

    moves = jnp.concatenate([jnp.full(len(indices), by, kernel.dtype) for by in (epsilon, -epsilon)])
    higher, lower = jax.lax.map(moved, (jnp.tile(indices, 2), moves)).reshape(2, -1)
    differences = (higher - lower) / (2 * epsilon)

    def cosine(temperature: jax.Array) -> jax.Array:
        gradient = jax.grad(value)(kernel, temperature).reshape(-1)[indices]
        lengths = jnp.linalg.norm(gradient) * jnp.linalg.norm(differences)
        return jnp.where(lengths > 0, jnp.vdot(gradient, differences) / jnp.where(lengths > 0, lengths, 1), 0)

    # What runs forward is the same at all temperatures, so that it runs once.
    return Agreement(differences, jax.vmap(cosine)(temperatures))


def temperatures_in(network: Network) -> list[Path]:
    """Paths of the temperatures among the statistics of a network.

    Raises:
      ValueError: there are none.
    """
    paths = [
        (*path, "surrogate_value")
        for path, cell in _modules(network)
        if isinstance(getattr(cell, "surrogate_value", None), nn.Setting)
    ]
    if not paths:
        raise ValueError(
            "the network has no cell whose surrogate has a temperature; build it with "
            "nn.lif(surrogate=surrogates.dspike())"
        )
    return paths


def _modules(network: Network) -> list[tuple[Path, nnx.Module]]:
    if network.model is None:
        raise ValueError("a network of your own functions has no layers to look at; give nn.training_form(model)")
    model: Any = network.model
    return list(nnx.iter_modules(model))


def _layer(network: Network, name: str) -> Path:
    """Path of the kernel of a layer."""
    layers = {".".join(map(str, path)): path for path, module in _modules(network) if isinstance(module, nn.Synapse)}
    if name not in layers:
        raise ValueError(f"layer={name!r} is no layer with a kernel; choose one of {', '.join(layers)}")
    return (*layers[name], "kernel")


def _first_synapse(network: Network, variables: Variables, batch: Batch, key: jax.Array | None) -> str:
    """The layer that runs first."""
    called: list[str] = []

    def watch(path: str, module: nnx.Module) -> Interceptor | None:
        def note(call: Callable[..., Any], *arguments: Any) -> Any:
            called.append(path)
            return call(*arguments)

        return note if isinstance(module, nn.Synapse) else None

    assert network.model is not None  # _modules has looked
    watched = network_of(network.model, network.form, watch)
    jax.eval_shape(watched.sequence, *variables, batch.inputs, cells_key(key))
    if not called:
        raise ValueError("the network has no convolution or linear layer to move the weights of")
    return called[0]


def _at(tree: Params, path: Path) -> jax.Array:
    for entry in path:
        tree = tree[entry]
    leaf: Any = tree
    array: jax.Array = leaf
    return array


def _with(tree: Params, paths: list[Path], value: jax.Array) -> Params:
    """A copy of nested dicts with a value in place of some leaves."""
    chosen = set(paths)

    def replaced(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        return value.astype(leaf.dtype) if tuple(entry.key for entry in path) in chosen else leaf

    new: Params = jax.tree_util.tree_map_with_path(replaced, tree)
    return new
