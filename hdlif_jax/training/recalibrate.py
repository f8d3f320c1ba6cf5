"""Running statistics estimated anew, over all time-steps alike.

While a network learns online, steps after the drawn one do not run, so that running statistics see early steps more
often. After short trainings that costs accuracy at the later steps.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.nn import Params, SpikingNetwork, Variables
from hdlif_jax.nn.cell import has_running_statistics
from hdlif_jax.nn.module import is_over_sequence
from hdlif_jax.nn.needs import check_key, check_variables

RECALIBRATION_BATCHES = 100  # of training images, at the end of a run

Sums = tuple[Params, Params]  # of the statistics, and how many were added up


def recalibrate(
    model: SpikingNetwork, variables: Variables, batches: Iterable[Any], *, key: jax.Array | None = None
) -> Variables:
    """Running statistics as the plain means of what batches of training data give at all time-steps.

    Args:
      model: the network.
      variables: what it has learned; parameters stay.
      batches: inputs as the network reads them, static `[B, ...]` or sequences `[T, B, ...]`.
      key: for cells that draw, such as dropout.

    Returns:
      The same parameters, with these statistics.

    Raises:
      TypeError: what is no model, or no variables.
      ValueError: variables of another network; no batch; or a layer with running statistics and no `momentum`, or a
        mix of statistics of the step and of the sequence.
    """
    check_variables(variables)
    check_key(key)
    collect = make_collect(nn.with_variables(model, variables))

    @jax.jit
    def of_batch(params: Params, inputs: jax.Array, index: jax.Array) -> Sums:
        return collect(params, inputs, None if key is None else jax.random.fold_in(key, index))

    totals: list[Any] | None = None
    for index, inputs in enumerate(batches):
        found = of_batch(variables.params, inputs, np.int32(index))
        sums = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found)]
        totals = sums if totals is None else [total + leaf for total, leaf in zip(totals, sums, strict=True)]
    if totals is None:
        raise ValueError("there is no batch to recalibrate with; give at least one, e.g. [inputs]")
    half = len(totals) // 2
    old, structure = jax.tree.flatten(variables.batch_stats)
    new = [
        jnp.asarray(np.where(count > 0, total / np.maximum(count, 1), np.asarray(leaf)), leaf.dtype)
        for total, count, leaf in zip(totals[:half], totals[half:], old, strict=True)
    ]
    return Variables(variables.params, jax.tree.unflatten(structure, new))


def make_collect(model: SpikingNetwork) -> Callable[[Params, jax.Array, jax.Array | None], Sums]:
    """Builds `(params, inputs, key) -> (sums, counts)` of a batch's statistics over all time-steps, for jit.

    Settings (`nn.Setting`) are the model's.

    Raises:
      ValueError: as `recalibrate`.
    """
    copy, of_sequences = _without_memory(model)
    network = nn.training_form(copy)
    blank = nn.variables_of(copy).batch_stats
    settings = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: isinstance(variable, nn.Setting),
            nnx.state(copy, nnx.BatchStat),
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )

    def filled(value: float) -> Params:
        statistics: Params = jax.tree.map(
            lambda leaf, is_setting: leaf if is_setting else jnp.full_like(leaf, value), blank, settings
        )
        return statistics

    def added(sums: Sums, run: Callable[[Params], Any]) -> tuple[Sums, Any]:
        """The sums with what a call writes: the entries that do not depend on those before."""
        (first, result), (second, _) = run(filled(0)), run(filled(1))
        written = jax.tree.map(
            lambda one, other, is_setting: jnp.zeros_like(one, bool) if is_setting else one == other,
            *(first, second, settings),
        )
        total = jax.tree.map(lambda sum_, leaf, is_new: sum_ + jnp.where(is_new, leaf, 0), sums[0], first, written)
        return (total, jax.tree.map(lambda count, is_new: count + is_new.astype(count.dtype), sums[1], written)), result

    def collect(params: Params, inputs: jax.Array, key: jax.Array | None) -> Sums:
        params = network.quantize(params)
        nothing = jax.tree.map(jnp.zeros_like, blank)
        sums: Sums = nothing, nothing
        if of_sequences:
            return added(sums, lambda stats: (network.sequence(params, stats, inputs, key).batch_stats, None))[0]

        static = rollout.is_static(network, inputs)
        if static:
            sums, current = added(sums, lambda stats: network.encode(params, stats, inputs)[::-1])
        hoisted = rollout.Hoisted(params, current if static else None)

        def one_step(carry: tuple[Sums, Any], t: jax.Array) -> tuple[tuple[Sums, Any], None]:
            sums, state = carry

            def step(stats: Params) -> Any:
                output = rollout.forward_step(network, hoisted, stats, state, inputs, t, key=key)
                return output.batch_stats, output.state

            return added(sums, step), None

        state = nn.init_state(network, Variables(params, blank), rollout.batch_size(network, inputs))
        (sums, _), _ = jax.lax.scan(one_step, (sums, state), jnp.arange(network.num_steps, dtype=jnp.int32))
        return sums

    return collect


def _without_memory(model: SpikingNetwork) -> tuple[SpikingNetwork, bool]:
    """A copy whose running statistics are those of the last call, and whether they are of whole sequences."""
    copy: Any = nnx.clone(model)
    kinds = set()
    module: Any
    for path, module in nn.modules(copy):
        if not has_running_statistics(module):
            continue
        kinds.add("sequence" if is_over_sequence(module) else "step")
        if isinstance(module, nn.BatchNorm):
            module.options = dataclasses.replace(module.options, momentum=0.0)
        elif isinstance(getattr(module, "momentum", None), float):
            module.momentum = 0.0
        else:
            raise ValueError(
                f"{path} is of type {type(module).__name__} with running statistics and no momentum; give it a "
                "momentum, what a batch leaves of them, as a float attribute"
            )
    if len(kinds) > 1:
        raise ValueError("the network has statistics of the step and of the sequence; recalibrate takes one of them")
    return copy, kinds == {"sequence"}
