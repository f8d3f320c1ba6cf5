"""Spatio-temporal back-propagation: the full gradient through time, the reference (Eqs. 2-3)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax import xla_cpu
from hdlif_jax.checks import Count, check_fields
from hdlif_jax.learning.base import Batch, Gradient, GradientRule, Loss, as_batch, cells_key, check_trains
from hdlif_jax.learning.online import Totals, with_hoisted
from hdlif_jax.losses import SequenceLoss, check_labels, check_loss
from hdlif_jax.nn import Network, Params, Variables, init_state
from hdlif_jax.nn.needs import check_variables
from hdlif_jax.rollout import Hoisted, batch_size, forward_step, is_static, over_steps


@dataclasses.dataclass(frozen=True)
class stbp(GradientRule):  # noqa: N801 - a class that is called as a function
    """The gradient of the loss through the whole sequence; memory grows with T.

    Of a step loss it is the gradient of the sum over the steps; sequence losses are taken as they are.

    With `segment`, only the states between segments of so many steps are kept, and what the steps within one computed
    is computed again when the gradient comes back (gradient checkpointing): the same gradient, about a third more time,
    and the memory of T / segment states and of one segment's steps. It is least near segment = √T.

    Attributes:
      segment: number of steps between states that are kept, a divisor of T; None keeps everything.
      layerwise: whether all time-steps of a layer are computed before the next layer, in one call of T·B inputs, which
        normalisers over the sequence need. The same numbers.
      detach: cuts the gradient between steps. The numbers are then those of `accumulate`, but not its memory: this is
        the oracle that `accumulate` is tested against.
      unroll: whether to unroll the scan; None unrolls on CPU (see `rollout.over_steps`).

    Raises:
      TypeError: a `segment` that is no integer.
      ValueError: options that exclude each other; with a network, `segment` does not divide T.

    Example:
      A loss of the whole sequence, with memory for two time-steps.

      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=nn.Spec(num_steps=4), rngs=nnx.Rngs(0))
      >>> network, variables = nn.training_form(model), nn.variables_of(model)
      >>> batch = learning.Batch(jnp.ones((6, 8)), jnp.arange(6) % 3)
      >>> gradient = learning.stbp(segment=2).gradient(network, losses.tet(), variables, batch)
      >>> gradient.learned.tolist(), gradient.loss.shape
      ([True, True, True, True], ())
    """

    segment: Count | None = None
    layerwise: bool = False
    detach: bool = False
    unroll: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.layerwise and (self.segment is not None or self.detach):
            raise ValueError(
                "layerwise=True computes all steps of a layer at once, so there is nothing between steps to keep or to "
                "cut; leave out segment and detach"
            )

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`."""
        check_trains(network, key)
        check_variables(variables)
        check_loss(loss)
        batch = as_batch(batch)
        if self.segment is not None and network.num_steps % self.segment:
            raise ValueError(
                f"segment={self.segment} does not divide the {network.num_steps} steps; choose a divisor, or None"
            )
        if self.layerwise:
            return _layerwise(network, loss, variables, batch, key)
        options: dict[str, Any] = {"key": cells_key(key), "detach": self.detach, "unroll": self.unroll}

        def begin(hoisted: Hoisted) -> Any:  # part of what is differentiated: a cell may learn where it starts
            params = Variables(hoisted.params, variables.batch_stats)
            return init_state(network, params, batch_size(network, batch.inputs))

        def learn(hoisted: Hoisted, batch_stats: Params) -> tuple[Params, Totals]:
            if self.segment is not None:
                return _in_segments(network, loss, hoisted, begin, batch_stats, batch, self.segment, options)

            def total(hoisted: Hoisted) -> tuple[jax.Array, Any]:
                steps = jnp.arange(network.num_steps, dtype=jnp.int32)
                _, stats, logits = run_steps(network, hoisted, begin(hoisted), batch_stats, batch, steps, **options)
                return sequence_loss(loss, logits, batch.labels), (stats, logits)

            (value, (batch_stats, logits)), grads = jax.value_and_grad(total, has_aux=True)(hoisted)
            return batch_stats, Totals(grads, value, jnp.sum(logits, 0))

        return with_hoisted(network, variables, batch, learn, jnp.ones(network.num_steps, bool))


def sequence_loss(loss: Loss, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss of logits `[T, B, K]`: a step loss summed over the steps, a sequence loss as it is.

    Raises:
      ValueError: labels that do not fit.
    """
    check_labels(logits.shape[1:], labels)
    if isinstance(loss, SequenceLoss):
        return loss(logits, labels)
    return jnp.sum(jnp.stack([loss(step_logits, labels) for step_logits in logits]))


def run_steps(
    network: Network,
    hoisted: Hoisted,
    state: Any,
    batch_stats: Params,
    batch: Batch,
    steps: jax.Array,
    *,
    key: jax.Array | None = None,
    offsets: Mapping[str, jax.Array] | None = None,
    detach: bool = False,
    unroll: bool | None = None,
) -> tuple[Any, Params, jax.Array]:
    """Some steps, step by step, to be differentiated.

    Args:
      network: in training form.
      hoisted: from `rollout.hoist`.
      state: before the first of the steps.
      batch_stats: before the first of the steps.
      batch: inputs and labels.
      steps: `[n]`, from 0.
      key: of the sequence, for cells that draw.
      offsets: `[n, B, ...]` by path of the cell, added to its currents.
      detach: cuts the gradient between steps.
      unroll: the scan; None unrolls on CPU.

    Returns:
      The state and the statistics after the steps, and logits `[n, B, K]`.
    """
    if unroll is None:
        unroll = xla_cpu.unrolls_gradients()

    def body(carry: Any, inputs: tuple[jax.Array, dict[str, jax.Array]]) -> tuple[Any, jax.Array]:
        state, batch_stats = carry
        t, step_offsets = inputs
        if detach:
            # Removes the temporal term of Eq. 2, ∂L/∂m_{t+1} · ∂m_{t+1}/∂m_t.
            state = jax.lax.stop_gradient(state)
        output = forward_step(network, hoisted, batch_stats, state, batch.inputs, t, key=key, offsets=step_offsets)
        return (output.state, output.batch_stats), output.logits

    (state, batch_stats), logits = jax.lax.scan(body, (state, batch_stats), (steps, dict(offsets or {})), unroll=unroll)
    return state, batch_stats, logits


def _layerwise(network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None) -> Gradient:
    is_static(network, batch.inputs)  # refuses what does not fit

    def total(params: Params) -> tuple[jax.Array, Any]:
        output = network.sequence(network.quantize(params), variables.batch_stats, batch.inputs, cells_key(key))
        return sequence_loss(loss, output.logits, batch.labels), output

    (value, output), grads = jax.value_and_grad(total, has_aux=True)(variables.params)
    learned = jnp.ones(network.num_steps, bool)
    return Gradient(grads, value, jnp.sum(output.logits, 0), output.batch_stats, learned)


def _in_segments(
    network: Network,
    loss: Loss,
    hoisted: Hoisted,
    begin: Callable[[Hoisted], Any],
    batch_stats: Params,
    batch: Batch,
    segment: int,
    options: dict[str, Any],
) -> tuple[Params, Totals]:
    """The gradient segment by segment, from the last to the first, each computed again from the state it began with."""
    segments = jnp.arange(network.num_steps, dtype=jnp.int32).reshape(-1, segment)

    def run(
        hoisted: Hoisted, state: Any, batch_stats: Params, steps: jax.Array
    ) -> tuple[tuple[Any, jax.Array], Params]:
        state, batch_stats, logits = run_steps(network, hoisted, state, batch_stats, batch, steps, **options)
        return (state, logits), batch_stats

    def forward(carry: Any, steps: jax.Array) -> tuple[Any, Any]:
        start, start_stats = carry
        (state, logits), batch_stats = run(hoisted, start, start_stats, steps)
        return (state, batch_stats), (carry, logits)

    state, begin_pullback = jax.vjp(begin, hoisted)
    (_, final_stats), (starts, logits) = jax.lax.scan(forward, (state, batch_stats), segments)
    logits = logits.reshape(network.num_steps, *logits.shape[2:])
    value, logit_grads = jax.value_and_grad(lambda logits: sequence_loss(loss, logits, batch.labels))(logits)
    logit_grads = logit_grads.reshape(*segments.shape, *logits.shape[1:])

    def backward(carry: Any, index: jax.Array) -> tuple[Any, None]:
        state_grads, grads, starts = carry
        last = len(segments) - 1 - index
        start, start_stats = jax.tree.map(lambda leaf: leaf[last], starts)
        _, pullback, _ = jax.vjp(
            lambda hoisted, start: run(hoisted, start, start_stats, segments[last]), hoisted, start, has_aux=True
        )
        segment_grads, state_grads = pullback((state_grads, logit_grads[last]))
        # Integers of a state have no gradient, of a type that no loop carries: zeros stand for it.
        state_grads = jax.tree.map(
            lambda grad, zero: zero if grad.dtype == jax.dtypes.float0 else grad, state_grads, zeros
        )
        return (state_grads, jax.tree.map(jnp.add, grads, segment_grads), starts), None

    # The starts go along, so that a segment waits for the one after it and is not computed again before it is needed.
    zeros, no_grads = jax.tree.map(jnp.zeros_like, (state, hoisted))
    carry = zeros, no_grads, starts
    (state_grads, grads, _), _ = over_steps(backward, carry, len(segments), unroll=options["unroll"])
    (begin_grads,) = begin_pullback(state_grads)
    return final_stats, Totals(jax.tree.map(jnp.add, grads, begin_grads), value, jnp.sum(logits, 0))
