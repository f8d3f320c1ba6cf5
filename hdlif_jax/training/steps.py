"""One training step as a pure function, and a whole training in a line."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hdlif_jax import nn, show
from hdlif_jax.checks import Seed, check, check_arguments
from hdlif_jax.learning import Batch, Learner, Loss, Rule
from hdlif_jax.learning.base import as_batch, check_rule, check_trains
from hdlif_jax.losses import check_classes, check_loss
from hdlif_jax.nn import Network, Params, SpikingNetwork, Variables
from hdlif_jax.nn.arrays import check_arrays
from hdlif_jax.training.optimizers import Optimizer, check_optimizer, only_learned_steps
from hdlif_jax.training.preprocess import Preprocess, no_preprocess
from hdlif_jax.training.reach import UnreachedParameters, explain_unreached, marked


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class TrainState:
    """All that a run has learned; with its objects, enough to go on exactly where it stopped.

    Everything random is drawn from (seed, step), so no generator has a state to keep.

    Attributes:
      step: number of batches seen, int32.
      params: nested dict of arrays.
      batch_stats: nested dict of arrays.
      opt_state: of optax.
    """

    step: jax.Array
    params: Params
    batch_stats: Params
    opt_state: Any

    @property
    def variables(self) -> Variables:
        """Parameters and statistics."""
        return Variables(self.params, self.batch_stats)

    def __repr__(self) -> str:
        return show.line("TrainState", self._facts())

    def _repr_html_(self) -> str:
        return show.table("TrainState", self._facts())

    def _facts(self) -> dict[str, Any]:
        names = ("params", "batch_stats", "opt_state")
        return {"step": show.known(self.step)} | {name: show.entries(getattr(self, name)) for name in names}


def check_alive(state: TrainState) -> None:
    """Raises ValueError for a state whose arrays were given away."""
    if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in jax.tree.leaves(state)):
        raise ValueError(
            "the state was given away to an earlier fit; take trainer.initial_state, what that fit returned, or a "
            "checkpoint"
        )


class StepMetrics(NamedTuple):
    """Of one batch, before its update.

    Attributes:
      loss: scalar; of a step loss, the mean over the learning steps.
      accuracy: of the summed logits of the learning steps, scalar.
    """

    loss: jax.Array
    accuracy: jax.Array


OF_THE_SAME = "begin with training.initial_state of this model and optimizer"

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, StepMetrics]]  #: a whole update, jitted


def initial_state(model: SpikingNetwork, optimizer: Optimizer) -> TrainState:
    """The state before the first step, with copies of the model's parameters and statistics."""
    check_optimizer(optimizer)
    variables = nn.variables_of(model)
    masked = only_learned_steps(optimizer, nn.training_form(model).per_step)
    return TrainState(jnp.int32(0), *variables, masked.init(variables.params))


def keys_of_step(seed: int, step: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """The key of the rule, and that of what happens to the inputs."""
    rule_key, inputs_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
    return rule_key, inputs_key


@check_arguments
def make_train_step(
    network: Network,
    rule: Rule,
    loss: Loss,
    optimizer: Optimizer,
    *,
    preprocess: Preprocess = no_preprocess,
    seed: Seed = 0,
) -> TrainStep:
    """Builds `(state, batch) -> (state, metrics)`, one batch of learning, to be jitted.

    Args:
      network: in training form.
      rule: of `learning`, or your own.
      loss: a step loss, or a sequence loss where the rule takes one.
      optimizer: any optax transformation; per-step parameters, and their moments, of steps that did not learn stay as
        they are (`only_learned_steps`).
      preprocess: `(key, inputs, labels) -> (inputs, targets)`, what happens to a batch on the device.
      seed: with the step, the source of all randomness.

    Raises:
      TypeError: what is no network, rule, loss or optimiser, such as one without its brackets,
        `learning.random_step`.
      ValueError: a network in inference form.
    """
    check_trains(network)
    check_rule(rule)
    check_loss(loss)
    check_optimizer(optimizer)
    masked = only_learned_steps(optimizer, network.per_step)

    def update(grads: Params, opt_state: Any, params: Params, learned: jax.Array) -> tuple[Params, Any]:
        updates, opt_state = masked.update(marked(grads), opt_state, params, learned=learned)
        return optax.apply_updates(params, updates), opt_state

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        check_arrays("opt_state", state.opt_state, jax.eval_shape(masked.init, state.params), OF_THE_SAME)
        rule_key, inputs_key = keys_of_step(seed, state.step)
        batch = Batch(*preprocess(inputs_key, *batch))
        learner = Learner(state.variables, state.opt_state)
        (variables, opt_state), learned = rule(network, loss, update, learner, batch, rule_key)
        labels = batch.labels if batch.labels.ndim == 1 else jnp.argmax(batch.labels, -1)  # what most of it is
        accuracy = jnp.mean(jnp.argmax(learned.logits, -1) == labels, dtype=jnp.float32)
        return TrainState(state.step + 1, *variables, opt_state), StepMetrics(learned.loss, accuracy)

    return train_step


@check_arguments
def start(
    model: SpikingNetwork,
    rule: Rule,
    loss: Loss,
    optimizer: Optimizer,
    *,
    preprocess: Preprocess = no_preprocess,
    seed: Seed = 0,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> tuple[TrainState, TrainStep]:
    """A complete training: what learns, and a jitted step.

    `learner, step = start(model, rule, loss, optax.adam(1e-3))`, then `learner, metrics = step(learner, (x, y))` for
    each batch; `nn.with_variables(model, learner.variables)` is the trained model.

    Args:
      model: any network.
      rule: of `learning`, or your own.
      loss: of `losses`, or any function `(logits [B, K], labels) -> scalar`.
      optimizer: any optax transformation.
      preprocess: see `make_train_step`.
      seed: see `make_train_step`.
      dtype: of convolutions and the currents between them, see `nn.training_form`.

    Returns:
      The state and the step. The first call of the step warns of parameters that the rule does not reach
      (`UnreachedParameters`). Labels of no class are a ValueError where looking at them takes no waiting (arrays of
      numpy, and all on CPUs); else the loss is NaN, and `training.explain_non_finite` says why.

    Raises:
      TypeError: what is no model, rule, loss or optimiser, such as one without its brackets.
    """
    network = nn.training_form(model, dtype=dtype)

    def of_rule(rule: Rule) -> TrainStep:
        return make_train_step(network, rule, loss, optimizer, preprocess=preprocess, seed=seed)

    jitted = jax.jit(of_rule(rule))
    looked = False

    @functools.wraps(jitted)
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        nonlocal looked
        check("state", state, TrainState)
        batch = as_batch(batch)
        if preprocess is no_preprocess and len(getattr(batch.labels, "shape", (0,))) == 1:
            check_classes(batch.labels, network.num_classes)
        if not looked:
            looked = True
            # The trace is kept, so that what runs is not traced again.
            problem = explain_unreached(
                rule, jitted.trace(state, batch).jaxpr, lambda other: jax.make_jaxpr(of_rule(other))(state, batch)
            )
            if problem:
                warnings.warn(problem, UnreachedParameters, stacklevel=2)
        stepped: tuple[TrainState, StepMetrics] = jitted(state, batch)
        return stepped

    return initial_state(model, optimizer), step
