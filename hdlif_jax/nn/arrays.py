"""The arrays of a network: taken out of it, compared, and put in.

Whatever brings arrays to a network comes through here, so that none of another shape, type or number of time-steps is
taken without a word.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import show
from hdlif_jax.nn.cell import Cell, PerStepParam, PerStepStat
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_model, check_variables
from hdlif_jax.nn.network import SpikingNetwork, Variables

NEXT = "build both from the same model, with the same widths and number of time-steps"


def variables_of(model: SpikingNetwork) -> Variables:
    """Copies of the parameters and statistics of a model.

    Raises:
      TypeError: what is no model.
    """
    check_model(model)
    params, batch_stats = (nnx.to_pure_dict(nnx.state(model, kind)) for kind in (nnx.Param, nnx.BatchStat))
    copies: Variables = jax.tree.map(jnp.copy, Variables(params, batch_stats))
    return copies


def with_variables(model: SpikingNetwork, variables: Variables) -> SpikingNetwork:
    """A copy of a model that holds these parameters and statistics.

    Raises:
      TypeError: what is no model, or no variables.
      ValueError: they have another structure than the model's, or arrays of other shapes or types.
    """
    check_model(model)
    graphdef, *templates = split(model)
    filled: SpikingNetwork = nnx.merge(graphdef, *fill(variables, templates), copy=True)
    return filled


def split(model: Any) -> tuple[Any, Any, Any]:
    """Structure, parameters and statistics.

    Raises:
      ValueError: the model holds arrays of another kind, such as the state of a random generator.
    """
    check_dropout(model)
    parts: Any = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    graphdef, params, batch_stats, others = parts
    for path, _ in nnx.to_flat_state(others):
        owners = (module for owner, module in modules(model) if owner and name_of(path).startswith(f"{owner}."))
        owner = next((f" of {type(module).__name__}" for module in owners if not isinstance(module, nnx.List)), "")
        raise ValueError(
            f"{name_of(path)}{owner} is neither a parameter nor a running statistic, and would be the same in every "
            "step; keep it in the state of an nn.Cell, and for what is random use nn.Dropout, or draw from the key of "
            "the cell's tick"
        )
    return graphdef, params, batch_stats


def check_dropout(model: Any) -> None:
    """Raises ValueError for Flax's Dropout, which draws from generators of its own: here keys come with the tick."""
    for path, module in modules(model):
        if isinstance(module, nnx.Dropout):
            raise ValueError(
                f"{path or 'the layer'} is Flax's Dropout, whose generators are no part of a step; use "
                f"hdlif_jax.nn.Dropout({module.rate}), which draws from the key of the step"
            )


def fill(variables: Variables, templates: list[Any]) -> list[Any]:
    """NNX states with the structure of `templates` and the arrays of `variables`.

    Raises:
      TypeError: these are no variables.
      ValueError: arrays of another structure, shape or type.
    """
    check_variables(variables)
    states = []
    for name, tree, template in zip(Variables._fields, variables, templates, strict=True):
        check_arrays(name, tree, nnx.to_pure_dict(template))
        states.append(jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(tree)))
    return states


def check_arrays(name: str, found: Any, expected: Any, hint: str = NEXT) -> None:
    """Compares two trees of arrays.

    Args:
      name: of the tree, for the message.
      found: what was given.
      expected: what is needed.
      hint: what to do.

    Raises:
      ValueError: other paths, shapes or types; names the first.
    """
    has, needs = described(found), described(expected)
    if has.keys() != needs.keys():
        more, fewer = sorted(has.keys() - needs.keys()), sorted(needs.keys() - has.keys())
        names = f"{more[0]} is too much" if more else f"{fewer[0]} is missing"
        raise ValueError(f"{name} have another structure than the network's: {names}; {hint}")
    for path, array in has.items():
        if array != needs[path]:
            raise ValueError(f"{name}: {path} is {array} and the network needs {needs[path]}; {hint}")


def described(tree: Any) -> dict[str, str]:
    """Type and shape of each array of a tree by its path, such as `{"head.bias": "float32[3]"}`."""
    return {
        name_of(path): show.array(leaf if hasattr(leaf, "shape") else jnp.asarray(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def check_num_steps(model: Any, num_steps: int) -> None:
    """Compares the parameters of each step with the number of steps.

    Args:
      model: a network or a cell.
      num_steps: T.

    Raises:
      ValueError: parameters or statistics of each step for another number of steps, of which steps would read the last.
    """
    for path, module in modules(model):
        own = ((name, value) for name, value in vars(module).items() if isinstance(value, PerStepParam | PerStepStat))
        for name, param in own:
            if param.ndim < 1 or param.shape[0] != num_steps:
                where = f"{path}.{name}" if path else name
                raise ValueError(
                    f"{where} of {type(module).__name__} is {show.array(param[...])} and the network has {num_steps} "
                    f"time-steps; make the cell for num_steps={num_steps}: what is of each step is [T, ...]"
                )


def cells_of(model: Any) -> list[str]:
    """Paths of the cells, in the order in which each has its own key to draw from."""
    return [path for path, module in modules(model) if isinstance(module, Cell)]


def name_of(path: tuple[Any, ...]) -> str:
    """A path of a tree as it is written, `"blocks.0.conv1.kernel"`."""
    return ".".join(str(getattr(entry, "key", getattr(entry, "idx", getattr(entry, "name", entry)))) for entry in path)
