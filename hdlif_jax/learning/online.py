"""Online learning: gradients of single time-steps, in memory that does not grow with T (Section 5, Algorithm 1).

The gradient is taken inside the time loop: a stop_gradient on the carry with the gradient outside gives the same
numbers, but keeps what every step computed. All rules share one step gradient and differ in where they take it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import xla_cpu
from hdlif_jax.checks import Count, check_fields
from hdlif_jax.learning.base import (
    Batch,
    Gradient,
    GradientRule,
    Loss,
    as_batch,
    cells_key,
    check_step_loss,
    check_trains,
    required,
)
from hdlif_jax.losses import StepLoss, check_labels
from hdlif_jax.nn import Network, Params, Variables, init_state
from hdlif_jax.nn.needs import check_variables
from hdlif_jax.rollout import Hoisted, batch_size, forward_step, hoist, over_steps

# Classes that are called as functions and named as such.
# ruff: noqa: N801


@dataclasses.dataclass(frozen=True)
class random_step(GradientRule):
    """Algorithm 1: one uniformly drawn step t* teaches; earlier steps run forward only, later ones not at all.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> model = nn.mlp((8,), 3, widths=(16,), rngs=nnx.Rngs(0))
      >>> network, variables = nn.training_form(model), nn.variables_of(model)
      >>> batch = learning.Batch(jnp.ones((6, 8)), jnp.arange(6) % 3)
      >>> rule, loss = learning.random_step(), losses.cross_entropy()
      >>> gradient = rule.gradient(network, loss, variables, batch, jax.random.key(0))
      >>> int(gradient.learned.sum()), gradient.logits.shape, gradient.grads["layers"][0]["kernel"].shape
      (1, (6, 3), (8, 16))
    """

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`; the key draws t*."""
        check_trains(network, key)
        steps = jax.random.randint(required("random_step", key), (1,), 0, network.num_steps, jnp.int32)
        return gradient_at_steps(network, loss, variables, batch, steps, key=key)


@dataclasses.dataclass(frozen=True)
class random_k(GradientRule):
    """K different steps, drawn uniformly, teach together (the selection of SLTT-K, Meng et al., ICCV 2023).

    Attributes:
      k: K ≥ 1.
      early_stop: whether nothing runs after the last of them. As published, the others run forward, by which running
        statistics move on; the gradient is the same.

    Raises:
      ValueError: k < 1; or, with a network, k > T.
    """

    k: Count = 2
    early_stop: bool = True

    def __post_init__(self) -> None:
        check_fields(self)

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`; the key draws the steps."""
        check_trains(network, key)
        if self.k > network.num_steps:
            raise ValueError(f"k={self.k} random steps of {network.num_steps}; choose 1 ≤ k ≤ num_steps")
        steps = jax.random.permutation(required("random_k", key), jnp.arange(network.num_steps, dtype=jnp.int32))
        steps = jnp.sort(steps[: self.k])
        return gradient_at_steps(network, loss, variables, batch, steps, key=key, early_stop=self.early_stop)


@dataclasses.dataclass(frozen=True)
class accumulate(GradientRule):
    """SLTT: every step teaches, and the sum of their online gradients is one update (Meng et al., ICCV 2023).

    Attributes:
      unroll: see `rollout.over_steps`.
    """

    unroll: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`."""
        check_trains(network, key)
        step_loss, batch = check_step_loss("accumulate", loss), as_batch(batch)

        def learn(hoisted: Hoisted, batch_stats: Params) -> tuple[Params, Totals]:
            def body(carry: Any, t: jax.Array) -> tuple[Any, None]:
                state, batch_stats, totals = carry
                step = step_gradient(network, step_loss, hoisted, batch_stats, state, batch, t, key=cells_key(key))
                return (step.state, step.batch_stats, _plus(totals, step)), None

            state = init_state(network, variables, batch_size(network, batch.inputs))
            carry = state, batch_stats, _no_totals(network, hoisted, batch)
            (_, batch_stats, totals), _ = over_steps(body, carry, network.num_steps, unroll=self.unroll)
            return batch_stats, totals

        return with_hoisted(network, variables, batch, learn, jnp.ones(network.num_steps, bool))


def gradient_at_steps(
    network: Network,
    loss: Loss,
    variables: Variables,
    batch: Batch,
    steps: jax.Array,
    *,
    key: jax.Array | None = None,
    early_stop: bool = True,
) -> Gradient:
    """The summed online gradients of the given steps.

    Args:
      network: in training form.
      loss: `(logits [B, K], labels) -> scalar` of one step.
      variables: parameters and statistics.
      batch: inputs and labels.
      steps: `[K]` different steps in rising order, from 0; may be traced, so other steps do not recompile.
      key: for cells that draw.
      early_stop: whether nothing runs after the last of them; else the others run forward.

    Raises:
      TypeError: a loss of the whole sequence, or steps that are no integers.
      ValueError: variables, inputs or labels that do not fit the network, a network in inference form, or, where they
        are concrete, steps that are not in rising order from 0 to T − 1.
    """
    check_trains(network, key)
    steps, batch = _checked_steps(steps, network.num_steps), as_batch(batch)
    step_loss, cell_key = check_step_loss("an online rule", loss), cells_key(key)

    def learn(hoisted: Hoisted, batch_stats: Params) -> tuple[Params, Totals]:
        def forward_only(t: jax.Array, carry: Any) -> Any:
            state, batch_stats = carry
            output = forward_step(network, hoisted, batch_stats, state, batch.inputs, t, key=cell_key)
            return output.state, output.batch_stats

        state = init_state(network, variables, batch_size(network, batch.inputs))
        start, totals = jnp.int32(0), _no_totals(network, hoisted, batch)
        for t in steps:
            state, batch_stats = jax.lax.fori_loop(start, t, forward_only, (state, batch_stats))
            step = step_gradient(network, step_loss, hoisted, batch_stats, state, batch, t, key=cell_key)
            carry = step.state, step.batch_stats, _plus(totals, step)
            state, batch_stats, totals = xla_cpu.barrier(carry)
            start = t + 1
        if not early_stop:
            end = jnp.int32(network.num_steps)
            _, batch_stats = jax.lax.fori_loop(start, end, forward_only, (state, batch_stats))
        return batch_stats, totals

    learned = jnp.zeros(network.num_steps, bool).at[steps].set(True)
    return with_hoisted(network, variables, batch, learn, learned)


def _checked_steps(steps: Any, num_steps: int) -> jax.Array:
    """The steps as an array `[K]`, looked at where they are concrete."""
    array: jax.Array = jnp.asarray(steps)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"steps have shape {array.shape}; give [K] time-steps, at least one, e.g. [0, 2]")
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"steps are {array.dtype}; give integers from 0 to {num_steps - 1}")
    if not isinstance(array, jax.core.Tracer):
        values = np.asarray(array)
        if values[0] < 0 or values[-1] >= num_steps or np.any(np.diff(values) < 1):
            raise ValueError(
                f"steps={values.tolist()} of a network of {num_steps}; give different steps in rising order from 0 to "
                f"{num_steps - 1}"
            )
    return array.astype(jnp.int32)


class StepGradient(NamedTuple):
    """Forward and gradient of one step.

    Attributes:
      state: after the step.
      batch_stats: after the step.
      grads: with respect to what was hoisted.
      offsets: ∂L/∂m_t by path of the cell, `[B, ...]`, of the offsets that were given.
      loss: scalar.
      logits: `[B, K]`.
    """

    state: Any
    batch_stats: Params
    grads: Hoisted
    offsets: dict[str, jax.Array]
    loss: jax.Array
    logits: jax.Array


def step_gradient(
    network: Network,
    loss: StepLoss,
    hoisted: Hoisted,
    batch_stats: Params,
    state: Any,
    batch: Batch,
    t: jax.Array,
    *,
    key: jax.Array | None = None,
    offsets: Mapping[str, jax.Array] | None = None,
) -> StepGradient:
    """The online gradient of step t (Eq. 5), also of the offsets; arguments as `rollout.forward_step`."""
    # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t: v_{t−1} is a constant to step t.
    state = jax.lax.stop_gradient(state)

    def step_loss(hoisted: Hoisted, offsets: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        output = forward_step(network, hoisted, batch_stats, state, batch.inputs, t, key=key, offsets=offsets)
        check_labels(output.logits.shape, batch.labels)
        return loss(output.logits, batch.labels), (output.state, output.batch_stats, output.logits)

    learn = jax.value_and_grad(step_loss, argnums=(0, 1), has_aux=True)
    (value, (state, batch_stats, logits)), (grads, offset_grads) = learn(hoisted, dict(offsets or {}))
    return StepGradient(state, batch_stats, grads, offset_grads, value, logits)


class Totals(NamedTuple):
    """Sums over the learning steps: gradients of what was hoisted, loss, and logits `[B, K]`."""

    grads: Hoisted
    loss: jax.Array
    logits: jax.Array


def with_hoisted(
    network: Network,
    variables: Variables,
    batch: Batch,
    learn: Callable[[Hoisted, Params], tuple[Params, Totals]],
    learned: jax.Array,
) -> Gradient:
    """Quantisation and static stem once before the time loop `learn`, their gradient once after it."""
    hoisted, pullback, batch_stats = hoist_with_pullback(network, variables, batch.inputs)
    batch_stats, totals = learn(hoisted, batch_stats)
    (grads,) = pullback(totals.grads)
    return Gradient(grads, totals.loss, totals.logits, batch_stats, learned)


def hoist_with_pullback(
    network: Network, variables: Variables, inputs: jax.Array
) -> tuple[Hoisted, Callable[[Hoisted], tuple[Params]], Params]:
    """What is hoisted, from gradients of it to those of the parameters, and the statistics after it."""
    check_variables(variables)
    return jax.vjp(lambda params: hoist(network, params, variables.batch_stats, inputs), variables.params, has_aux=True)


def _no_totals(network: Network, hoisted: Hoisted, batch: Batch) -> Totals:
    logits = jnp.zeros((batch_size(network, batch.inputs), network.num_classes), jnp.float32)
    return Totals(jax.tree.map(jnp.zeros_like, hoisted), jnp.zeros((), jnp.float32), logits)


def _plus(totals: Totals, step: StepGradient) -> Totals:
    summed: Totals = jax.tree.map(jnp.add, totals, Totals(step.grads, step.loss, step.logits))
    return summed
