"""Thresholds from data, for neurons that take over the weights of a network without spikes (DCT-SNN)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn
from hdlif_jax.checks import Amount, Percentile, check_arguments
from hdlif_jax.nn.arrays import name_of
from hdlif_jax.nn.cell import Setting
from hdlif_jax.nn.needs import check_model
from hdlif_jax.rollout.record import observed
from hdlif_jax.rollout.steps import is_static


@check_arguments
def find_thresholds(
    model: nn.SpikingNetwork,
    variables: nn.Variables,
    inputs: jax.Array,
    *,
    percentile: Percentile = 99.9,
    digits: Amount = 2,
) -> nn.Variables:
    """Sets θ of each layer to about the largest current that reaches it (Garg et al., ICCV 2021).

    Layer by layer, in the order of the calls, with the thresholds that were found before; see `find_threshold`.

    Args:
      model: a network with cells that hold a threshold as a setting, `nn.lif(found_threshold=True)`.
      variables: its parameters, such as those of a network without spikes, and its statistics.
      inputs: what the network reads, static inputs `[B, ...]` or sequences `[T, B, ...]`.
      percentile: of the currents.
      digits: decimal places that are kept, unless nothing is left.

    Returns:
      The same variables with these thresholds.

    Raises:
      TypeError: what is no model, or no variables.
      ValueError: a model without such cells; a layer whose percentile is not positive; or variables or inputs that do
        not fit.
    """
    for path in _in_order(model, variables, inputs):
        found = find_threshold(model, variables, inputs, path, percentile=percentile)
        variables = _with_threshold(variables, path, round(found, digits) or found)
    return variables


@check_arguments
def find_threshold(
    model: nn.SpikingNetwork, variables: nn.Variables, inputs: jax.Array, path: str, *, percentile: Percentile = 99.9
) -> float:
    """θ of one layer, found from its currents over all time-steps in inference.

    It is a percentile over inputs and neurons, by nearest rank, of the currents of one step: the last whose largest
    current exceeds what θ was until then, of those with a positive percentile.

    Args:
      model: a network with cells that hold a threshold as a setting.
      variables: its parameters and statistics, with the thresholds of the layers before this one.
      inputs: what the network reads, static inputs `[B, ...]` or sequences `[T, B, ...]`.
      path: of the cell, such as "blocks.0.neuron1".
      percentile: of the currents.

    Raises:
      TypeError: what is no model, or no variables.
      ValueError: no such cell; a percentile that is not positive; or variables or inputs that do not fit.
    """
    known = _settable(model, variables, inputs)
    if path not in known:
        raise ValueError(f"path={path!r} is no neuron with a threshold to find; there are {', '.join(known)}")
    network = nn.inference_form(model)

    def observe(path: str, module: Any, arguments: tuple[Any, ...], result: Any) -> tuple[jax.Array, jax.Array]:
        current = arguments[1].astype(jnp.float32)
        return jnp.max(current), nearest_rank(current, percentile)

    def is_it(other: str, module: Any) -> bool:
        return other == path

    steps = jax.jit(lambda variables, inputs: observed(network, variables, inputs, is_it, observe)[path])
    threshold = 0.0
    for largest, ranked in zip(*map(np.asarray, steps(variables, inputs)), strict=True):
        threshold = float(ranked) if largest > threshold and ranked > 0 else threshold
    if not threshold:
        raise ValueError(
            f"of the currents that reach {path}, the {percentile:g}th percentile is not positive at any step; give a "
            "higher percentile, more inputs, or other weights"
        )
    return threshold


def _settable(model: nn.SpikingNetwork, variables: nn.Variables, inputs: jax.Array) -> list[str]:
    """Paths of the neurons that hold a threshold as a setting; refuses what does not go together."""
    check_model(model)
    nn.with_variables(model, variables)  # compares them
    is_static(model, inputs)
    modules = nn.modules(model)
    paths = [
        path
        for path, module in modules
        if isinstance(module, nn.NeuronCell) and isinstance(getattr(module, "threshold", None), Setting)
    ]
    if not paths:
        raise ValueError(
            "no neuron of the model has a threshold to find; build it with "
            "nn.lif(found_threshold=True, learn_threshold=False)"
        )
    return paths


def _in_order(model: nn.SpikingNetwork, variables: nn.Variables, inputs: jax.Array) -> tuple[str, ...]:
    """Their paths in the order of the calls."""
    network, settable, order = nn.inference_form(model), _settable(model, variables, inputs), list[str]()

    def run(variables: nn.Variables, inputs: jax.Array) -> None:
        order[:] = observed(
            network, variables, inputs, lambda path, module: path in settable, lambda *call: jnp.zeros(())
        )

    jax.eval_shape(run, variables, inputs)
    return tuple(order)


def nearest_rank(x: jax.Array, percentile: float) -> jax.Array:
    """A percentile of all values of an array, which is one of them: number 1 + round(q/100 · (n − 1)) from below."""
    return jnp.sort(x, axis=None)[round(percentile / 100 * (x.size - 1))]


def _with_threshold(variables: nn.Variables, path: str, value: float) -> nn.Variables:
    """Variables with one threshold set."""

    def of_leaf(at: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        return jnp.full_like(leaf, value) if name_of(at) == f"{path}.threshold" else leaf

    return variables._replace(batch_stats=jax.tree_util.tree_map_with_path(of_leaf, variables.batch_stats))
