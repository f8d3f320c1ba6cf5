"""Parameters of one kind by a rule, or at a rate, of their own: those of neurons, or those of a name."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from hdlif_jax import nn
from hdlif_jax.checks import Positive, check_arguments
from hdlif_jax.nn.arrays import name_of
from hdlif_jax.nn.needs import check_network
from hdlif_jax.training.optimizers import Optimizer, check_optimizer


def neuron_params(network: nn.Network) -> nn.Params:
    """True at the parameters of neuron cells, in the structure of a network's parameters.

    Raises:
      TypeError: what is no network.
      ValueError: a network of your own functions, which has no cells to ask.
    """
    check_network(network)
    if network.model is None:
        raise ValueError(
            "a network of your own functions has no cells; say which parameters you mean by a tree of bool"
        )
    cells = [f"{path}." for path, module in nn.modules(network.model) if isinstance(module, nn.NeuronCell)]
    return _chosen(network, lambda name: any(name.startswith(cell) for cell in cells))


def params_named(network: nn.Network, part: str) -> nn.Params:
    """True at the parameters whose path has a part, such as "gates" in `"blocks.0.neuron1.gates.decay"`.

    Raises:
      TypeError: what is no network.
    """
    check_network(network)
    return _chosen(network, lambda name: part in name.split("."))


def _chosen(network: nn.Network, holds: Callable[[str], bool]) -> nn.Params:
    chosen: nn.Params = jax.tree_util.tree_map_with_path(lambda path, _: holds(name_of(path)), network.per_step)
    return chosen


def with_own_rule(rule: Optimizer, own: Optimizer, chosen: nn.Params) -> optax.GradientTransformation:
    """An optimiser that moves some parameters by a rule of their own.

    Args:
      rule: for all others.
      own: for the chosen ones.
      chosen: True at those, in the structure of the parameters.

    Raises:
      TypeError: no optax transformation.
      ValueError: none is chosen.
    """
    check_optimizer(rule)
    check_optimizer(own)
    _check_any(chosen)
    labels = jax.tree.map(lambda is_own: "own" if is_own else "others", chosen)
    transforms: dict[str, Any] = {"own": own, "others": rule}
    return optax.multi_transform(transforms, labels)


@check_arguments
def slowed(rule: Optimizer, factor: Positive, chosen: nn.Params) -> optax.GradientTransformation:
    """An optimiser whose updates of some parameters are multiplied by a factor, as at another learning rate.

    Args:
      rule: for all parameters.
      factor: of the updates of the chosen ones.
      chosen: True at those, in the structure of the parameters.

    Raises:
      TypeError: no optax transformation.
      ValueError: a factor that is not positive, or none is chosen.
    """
    check_optimizer(rule)
    _check_any(chosen)
    return optax.chain(rule, optax.masked(optax.scale(factor), chosen))


def _check_any(chosen: nn.Params) -> None:
    if not any(jax.tree.leaves(chosen)):
        raise ValueError("chosen is True at no parameter; leave the rule as it is, or choose one that the network has")
