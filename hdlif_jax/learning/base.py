"""What learning rules take and give, and how a gradient becomes one."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from hdlif_jax import show
from hdlif_jax.losses import SequenceLoss, StepLoss, check_loss
from hdlif_jax.nn import Network, Params, Variables
from hdlif_jax.nn.needs import check_key, check_network

Loss = StepLoss | SequenceLoss  #: of one time-step, or of all
#: The optimiser: `(grads, opt_state, params, learned [T]) -> (params, opt_state)`.
Update = Callable[[Params, Any, Params, jax.Array], tuple[Params, Any]]


class Batch(NamedTuple):
    """Examples to learn from.

    Attributes:
      inputs: static `[B, ...]`, or sequences `[T, B, ...]`.
      labels: `[B]` integers or `[B, K]` distributions.
    """

    inputs: jax.Array
    labels: jax.Array

    def __repr__(self) -> str:
        return show.line("Batch", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Batch", self._facts())

    def _facts(self) -> dict[str, Any]:
        return {name: show.array(value) for name, value in self._asdict().items()}


class Gradient(NamedTuple):
    """The gradient of a batch and what was computed along the way.

    Attributes:
      grads: with respect to the parameters; exact zeros at per-step entries of steps that did not learn.
      loss: scalar; of a step loss, the sum over the learning steps.
      logits: `[B, K]`, summed over the learning steps.
      batch_stats: after the steps that were run.
      learned: `[T]` bool, the steps whose loss was differentiated.
    """

    grads: Params
    loss: jax.Array
    logits: jax.Array
    batch_stats: Params
    learned: jax.Array

    def __repr__(self) -> str:
        return show.line("Gradient", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Gradient", self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "grads": show.entries(self.grads),
            "loss": show.known(self.loss),
            "logits": self.logits.shape,
            "learned": show.known(self.learned),
        }


class Learner(NamedTuple):
    """What learns.

    Attributes:
      variables: of the network.
      opt_state: of the optimiser.
    """

    variables: Variables
    opt_state: Any


class Learned(NamedTuple):
    """What a batch taught.

    Attributes:
      loss: scalar; of a step loss, the mean over the learning steps.
      logits: `[B, K]`, summed over the learning steps.
      steps: `[T]` bool, the steps that learned.
    """

    loss: jax.Array
    logits: jax.Array
    steps: jax.Array


class Rule(Protocol):
    """One batch of learning; a pure function, to be jitted.

    Attributes:
      layerwise: whether it runs all time-steps of a layer before the next, as normalisers over the sequence need.
    """

    @property
    def layerwise(self) -> bool:
        """See the class."""

    def updates_per_batch(self, num_steps: int) -> int:
        """How often it updates the parameters."""

    def __call__(
        self, network: Network, loss: Loss, update: Update, learner: Learner, batch: Batch, key: jax.Array | None
    ) -> tuple[Learner, Learned]:
        """Learns from a batch; `update` is the optimiser's, and `key` decides everything random."""


class GradientRule:
    """A rule of one gradient and one update for each batch; write `gradient`.

    Example:
      A rule of one's own, by which the last step alone teaches, and plain gradient descent.

      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> class LastStep(learning.GradientRule):
      ...     def gradient(self, network, loss, variables, batch, key=None):
      ...         steps = jnp.array([network.num_steps - 1])
      ...         return learning.gradient_at_steps(network, loss, variables, batch, steps, key=key)
      >>> def update(grads, opt_state, params, learned):
      ...     return jax.tree.map(lambda param, grad: param - 0.1 * grad, params, grads), opt_state
      >>> model = nn.mlp((8,), 3, widths=(16,), rngs=nnx.Rngs(0))
      >>> network, learner = nn.training_form(model), learning.Learner(nn.variables_of(model), None)
      >>> batch = learning.Batch(jnp.ones((6, 8)), jnp.arange(6) % 3)
      >>> learner, learned = LastStep()(network, losses.cross_entropy(), update, learner, batch, None)
      >>> learned.steps.tolist()
      [False, False, False, True]
    """

    @property
    def layerwise(self) -> bool:
        """Step by step, unless a rule says otherwise."""
        return False

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """The gradient of a batch.

        Args:
          network: in training form.
          loss: a step loss `(logits [B, K], labels) -> scalar`; rules that go through the whole sequence also take
            a `SequenceLoss`.
          variables: parameters and statistics.
          batch: inputs and labels.
          key: for rules and cells that draw.

        Raises:
          TypeError: a loss that the rule cannot use, or what is no network, loss or key.
          ValueError: variables, inputs or labels that do not fit the network, or no key where one is needed.
        """
        raise TypeError(f"{type(self).__name__} has no gradient(network, loss, variables, batch, key); write it")

    def updates_per_batch(self, num_steps: int) -> int:
        """One."""
        return 1

    def __call__(
        self, network: Network, loss: Loss, update: Update, learner: Learner, batch: Batch, key: jax.Array | None
    ) -> tuple[Learner, Learned]:
        """See `Rule`."""
        gradient = self.gradient(network, loss, learner.variables, batch, key)
        params, opt_state = update(gradient.grads, learner.opt_state, learner.variables.params, gradient.learned)
        steps = jnp.float32(1) if isinstance(loss, SequenceLoss) else jnp.sum(gradient.learned, dtype=jnp.float32)
        learned = Learned(gradient.loss / steps, gradient.logits, gradient.learned)
        return Learner(Variables(params, gradient.batch_stats), opt_state), learned


def check_step_loss(rule: str, loss: Loss) -> StepLoss:
    """The loss, if it is of one step.

    Raises:
      TypeError: it is of the whole sequence, or no loss.
    """
    check_loss(loss)
    if isinstance(loss, SequenceLoss):
        raise TypeError(
            f"{rule} learns from single time-steps, and {loss.name} is a loss of the whole sequence; use a step loss "
            "such as losses.cross_entropy(), or learning.stbp()"
        )
    return loss


def check_rule(rule: Any) -> None:
    """Raises TypeError for what is no rule, such as its class."""
    if inspect.isclass(rule):
        raise TypeError(f"rule={rule.__name__} is not called yet; write {rule.__name__}()")
    if not callable(rule) or not hasattr(rule, "updates_per_batch"):
        raise TypeError(f"rule={rule!r} is none; give one such as learning.random_step(), or as learning.Rule says")


def check_trains(network: Network, key: jax.Array | None = None) -> None:
    """Looks at what learning needs.

    Raises:
      TypeError: what is no network, such as a model, or no key.
      ValueError: a network in inference form, which would learn with constant statistics.
    """
    check_network(network, trains=True)
    check_key(key)


def as_batch(batch: Any) -> Batch:
    """A pair of inputs and labels by name.

    Raises:
      TypeError: it is none, such as inputs alone.
    """
    if not isinstance(batch, tuple | list) or len(batch) != len(Batch._fields):
        raise TypeError(f"batch is a {type(batch).__name__}; give a pair (inputs, labels)")
    return Batch(*batch)


def cells_key(key: jax.Array | None) -> jax.Array | None:
    """The key of a sequence for its cells, apart from what the rule itself draws."""
    check_key(key)
    return None if key is None else jax.random.fold_in(key, 1)


def required(rule: str, key: jax.Array | None) -> jax.Array:
    """The key.

    Raises:
      ValueError: there is none.
    """
    if key is None:
        raise ValueError(f"{rule} draws its time-steps; give it a key, e.g. jax.random.key(0)")
    check_key(key)
    return key
