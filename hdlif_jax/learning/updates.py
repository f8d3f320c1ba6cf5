"""Rules that update the parameters more than once a batch."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax.checks import check_fields
from hdlif_jax.learning.base import (
    Batch,
    Learned,
    Learner,
    Loss,
    Update,
    as_batch,
    cells_key,
    check_step_loss,
    check_trains,
)
from hdlif_jax.learning.online import hoist_with_pullback, step_gradient
from hdlif_jax.nn import Network, Variables, init_state
from hdlif_jax.rollout import batch_size, over_steps


@dataclasses.dataclass(frozen=True)
class every_step:  # noqa: N801 - a class that is called as a function
    """One update after each step, so that step t + 1 already runs with the parameters that step t taught.

    With the gradient of `accumulate`: the online update of SLTT, and with `traced` that of OTTT-O and NDOT.

    After each update the stem is another one, so it runs again also on a static input, and its running statistics move
    T times a batch, as those of all other layers do; with other rules a static stem's move once.

    Attributes:
      unroll: see `rollout.over_steps`.
    """

    unroll: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def layerwise(self) -> bool:
        """It runs step by step."""
        return False

    def updates_per_batch(self, num_steps: int) -> int:
        """One for each step."""
        return num_steps

    def __call__(
        self, network: Network, loss: Loss, update: Update, learner: Learner, batch: Batch, key: jax.Array | None
    ) -> tuple[Learner, Learned]:
        """See `learning.Rule`.

        Raises:
          TypeError: a loss of the whole sequence, or what is no network, loss or key.
          ValueError: variables, inputs or labels that do not fit the network, or a network in inference form.
        """
        check_trains(network, key)
        step_loss, batch = check_step_loss("every_step", loss), as_batch(batch)
        num_steps, size = network.num_steps, batch_size(network, batch.inputs)

        def body(carry: Any, t: jax.Array) -> tuple[Any, None]:
            (variables, opt_state), state, value, logits = carry
            hoisted, pullback, batch_stats = hoist_with_pullback(network, variables, batch.inputs)
            step = step_gradient(network, step_loss, hoisted, batch_stats, state, batch, t, key=cells_key(key))
            (grads,) = pullback(step.grads)
            params, opt_state = update(grads, opt_state, variables.params, jnp.arange(num_steps, dtype=jnp.int32) == t)
            learner = Learner(Variables(params, step.batch_stats), opt_state)
            return (learner, step.state, value + step.loss, logits + step.logits), None

        state = init_state(network, learner.variables, size)
        carry = learner, state, jnp.zeros((), jnp.float32), jnp.zeros((size, network.num_classes), jnp.float32)
        (learner, _, value, logits), _ = over_steps(body, carry, num_steps, unroll=self.unroll)
        return learner, Learned(value / num_steps, logits, jnp.ones(num_steps, bool))
