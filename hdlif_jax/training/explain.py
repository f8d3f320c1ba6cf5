"""Why a loss is not finite: labels, inputs, parameters, or the first layer whose values are not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn, rollout
from hdlif_jax.learning import Batch
from hdlif_jax.learning.base import as_batch
from hdlif_jax.nn.arrays import name_of
from hdlif_jax.nn.needs import check_variables
from hdlif_jax.training.preprocess import Preprocess


def explain_non_finite(
    model: nn.SpikingNetwork, variables: nn.Variables, batch: Batch, *, key: jax.Array | None = None
) -> str:
    """One line on what of a batch or a network makes a loss NaN or infinite.

    It runs the forward pass of all time-steps in training form once; nothing of it is in a training step.

    Args:
      model: the network.
      variables: before the step, where they are still there; after it all may be lost.
      batch: inputs as the network reads them, and labels.
      key: for cells that draw.

    Returns:
      The range of labels and inputs, the parameters that are not finite, and the first layer and time-step at which
      values are not.

    Raises:
      TypeError: what is no model.
      ValueError: variables or inputs that do not fit the network.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, nn, training
      >>> model = nn.mlp((8,), 3, widths=(16,), rngs=nnx.Rngs(0))
      >>> batch = learning.Batch(jnp.ones((2, 8)), jnp.array([0, 3]))
      >>> training.explain_non_finite(model, nn.variables_of(model), batch)
      'labels are 0 to 3, and the classes 0 to 2'
    """
    network, batch = nn.training_form(model), as_batch(batch)
    check_variables(variables)
    problems = [
        *_of_labels(batch.labels, model.num_classes),
        *_of_inputs(batch.inputs),
        *_of_arrays("parameter", variables.params),
        *_of_arrays("statistic", variables.batch_stats),
    ]
    if any("not finite" in problem for problem in problems):  # where it begins is known, and the forward pass is ruined
        return "; ".join(problems)
    problems += _of_layers(network, variables, batch.inputs, key)
    if not problems:
        labels, inputs = np.asarray(batch.labels), np.asarray(batch.inputs)
        problems.append(
            f"labels ({labels.min()} to {labels.max()}), inputs ({inputs.min():.4g} to {inputs.max():.4g}) and the "
            "values of all layers are finite, so that the loss itself or its gradient overflows"
        )
    return "; ".join(problems)


def explain_step(
    model: nn.SpikingNetwork,
    variables: nn.Variables,
    batch: Batch,
    preprocess: Preprocess,
    keys: tuple[jax.Array, jax.Array],
) -> str:
    """`explain_non_finite` of a batch before it was preprocessed, with the keys of its step (`steps.keys_of_step`)."""
    rule_key, inputs_key = keys
    inputs, _ = preprocess(inputs_key, jnp.asarray(batch.inputs), jnp.asarray(batch.labels))
    return explain_non_finite(model, variables, Batch(inputs, batch.labels), key=rule_key)


def all_finite(variables: nn.Variables) -> jax.Array:
    """Whether all parameters and statistics are finite, scalar bool."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(variables)]))


def _of_labels(labels: jax.Array, num_classes: int) -> list[str]:
    values = np.asarray(labels)
    if values.ndim == 1:
        fits = values.min() >= 0 and values.max() < num_classes
        return [] if fits else [f"labels are {values.min()} to {values.max()}, and the classes 0 to {num_classes - 1}"]
    return [] if np.isfinite(values).all() else [f"{_count(values)} shares of the labels are not finite"]


def _of_inputs(inputs: jax.Array) -> list[str]:
    values = np.asarray(inputs)
    if np.issubdtype(values.dtype, np.integer) or np.isfinite(values).all():
        return []
    finite = values[np.isfinite(values)]
    seen = f", the others {finite.min():.4g} to {finite.max():.4g}" if finite.size else ""
    return [f"{_count(values)} inputs are not finite{seen}"]


def _of_arrays(kind: str, tree: Any) -> list[str]:
    bad = [
        name_of(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if not np.isfinite(np.asarray(leaf, np.float32)).all()
    ]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return [f"the {kind}s {', '.join(bad[:3])}{more} are not finite"] if bad else []


def _of_layers(network: nn.Network, variables: nn.Variables, inputs: jax.Array, key: jax.Array | None) -> list[str]:
    kinds: dict[str, str] = {}

    def choose(path: str, module: Any) -> bool:
        kinds[path] = type(module).__name__
        return True

    def finite(path: str, module: Any, arguments: Any, result: Any) -> jax.Array:
        leaves = [leaf for leaf in jax.tree.leaves(result) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])) if leaves else jnp.bool_(True)

    seen = rollout.observed(network, variables, inputs, choose, finite, key=key)
    over_time = np.stack([np.asarray(flags) for flags in seen.values()], 1)
    for t, flags in enumerate(over_time):
        if not flags.all():
            path = list(seen)[int(np.argmin(flags))]
            where = f"{path or 'the network'} ({kinds[path]})"
            return [f"{where} gives the first values that are not finite, at time-step {t}"]
    return []


def _count(values: np.ndarray) -> str:
    return f"{np.count_nonzero(~np.isfinite(values))} of {values.size}"
