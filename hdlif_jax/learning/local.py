"""Local tandem learning (LTL): every layer learns by itself to fire at the rates that a teacher's layer suggests.

Yang et al., "Training Spiking Neural Networks with Local Tandem Learning" (NeurIPS 2022). The teacher is a network
without spikes of the same layers. No gradient passes from a layer of neurons to the one before it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import xla_cpu
from hdlif_jax.checks import Amount, Percentile, check_arguments, check_fields
from hdlif_jax.learning.base import (
    Batch,
    Gradient,
    GradientRule,
    Learned,
    Learner,
    Loss,
    Update,
    as_batch,
    cells_key,
    check_step_loss,
    check_trains,
)
from hdlif_jax.learning.online import Totals, with_hoisted
from hdlif_jax.losses import StepLoss, check_labels
from hdlif_jax.nn import (
    LIFCell,
    Network,
    NeuronCell,
    Params,
    SpikingNetwork,
    Tick,
    Variables,
    inference_form,
    init_state,
    lif,
    with_variables,
)
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.intercept import Interceptor, modules
from hdlif_jax.nn.needs import check_model, check_variables
from hdlif_jax.rollout import Hoisted, batch_size, forward_step, hoist, is_static, over_steps

ByPath = dict[str, jax.Array]  # by path of the cell


class Activations(Protocol):
    """What teaches the layers: a `Teacher`, or your own."""

    def activations(self, inputs: jax.Array) -> ByPath:
        """Of static inputs `[B, ...]`, the activations `[B, ...]` of every layer of neurons by its path."""


class Teacher:
    """A network without spikes, whose activations are what layers of spiking neurons learn.

    Args:
      model: of the same layers as the network that learns, with `nn.relu()` as neurons.
      variables: its trained parameters and statistics.

    Raises:
      TypeError: what is no model, or no variables.
      ValueError: neurons that emit spikes, or variables of another network.
    """

    def __init__(self, model: SpikingNetwork, variables: Variables):
        check_model(model)
        check_variables(variables)
        for path, module in modules(model):
            if isinstance(module, NeuronCell) and module.emits.bits is not None:
                raise ValueError(f"{path} of the teacher emits spikes; build it with nn.relu() as neurons")
        self._network = inference_form(with_variables(model, variables), record=True)
        # Of numpy, because constants of a compiled step are on no device of their own.
        self._variables = Variables(*jax.tree.map(np.asarray, tuple(variables)))

    def __repr__(self) -> str:
        return f"Teacher({type(self._network.model).__name__})"

    def activations(self, inputs: jax.Array) -> ByPath:
        """See `Activations`."""
        hoisted, stats = hoist(self._network, *self._variables, inputs)
        return forward_step(self._network, hoisted, stats, None, inputs, 0).records


@check_arguments
def rates_of(activations: jax.Array, percentile: Percentile = 99.9) -> tuple[jax.Array, jax.Array]:
    """The rates that a layer is to fire at, clip(A / P, 0, 1), and P.

    Args:
      activations: A `[B, ...]`.
      percentile: of all activations of the batch, P by nearest rank.

    Raises:
      ValueError: a percentile out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax import learning
      >>> rates, scale = learning.rates_of(jnp.float32([[0, 1], [2, 8]]), percentile=66)
      >>> rates.tolist(), float(scale)
      ([[0.0, 0.5], [1.0, 1.0]], 2.0)
    """
    rank = round(percentile / 100 * (activations.size - 1))
    scale = jnp.sort(activations.ravel())[rank]
    return jnp.where(scale > 0, jnp.clip(activations / jnp.where(scale > 0, scale, 1), 0, 1), 0), scale


@dataclasses.dataclass(frozen=True)
class layer_local(GradientRule):  # noqa: N801 - a class that is called as a function
    """LTL: each layer of neurons learns the teacher's rates, and the readout the labels; nothing passes between layers.

    Offline the loss is that of the mean logits, plus for every layer the squared distance of its mean spikes from the
    rates, and the gradient goes through time within a layer. Online it is the same at every step, of the means so far,
    with what came before as a constant: memory does not grow with T. Spikes of a LIF are of height 1
    (`nn.lif(height=1.0)`), as rates are. Where currents are added up, as in a residual block before its neurons, all
    layers of neurons that read the sum teach what goes into it.

    Attributes:
      teacher: a `Teacher`, or what has its `activations`.
      percentile: of a layer's activations in a batch, which stands for a rate of 1. Published are 99.9, online 99.
      online: whether every step teaches by itself.
      warmup: of online: how many first steps do not teach. Its authors predict from the logits of the others alone,
        where evaluation here counts all.
      unroll: see `rollout.over_steps`.

    Raises:
      TypeError: what is no teacher.
      ValueError: values out of range; with a network, layers that the teacher does not have, spikes of another height,
        or sequences as inputs.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> spec = nn.Spec(num_steps=4, neuron=nn.lif(height=1.0))
      >>> student = nn.mlp((8,), 3, widths=(16,), spec=spec, rngs=nnx.Rngs(0))
      >>> network, variables = nn.training_form(student), nn.variables_of(student)
      >>> class Half:  # asks all neurons to fire at every other step
      ...     def activations(self, inputs):
      ...         return {"layers.1": jnp.tile(jnp.float32([0.5, 1]), (len(inputs), 8))}
      >>> batch = learning.Batch(jnp.ones((6, 8)), jnp.arange(6) % 3)
      >>> rule = learning.layer_local(Half(), online=True, warmup=1)
      >>> rule.gradient(network, losses.cross_entropy(), variables, batch).learned.tolist()
      [False, True, True, True]
    """

    teacher: Activations
    percentile: Percentile = 99.9
    online: bool = False
    warmup: Amount = 0
    unroll: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not callable(getattr(self.teacher, "activations", None)) or isinstance(self.teacher, type):
            raise TypeError(
                f"teacher is a {type(self.teacher).__name__}; give learning.Teacher(model, variables) of a trained "
                "network with nn.relu() as neurons"
            )
        if self.warmup and not self.online:
            raise ValueError(f"warmup={self.warmup} is for online=True; offline all steps teach together")

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`; `loss` is of the mean logits."""
        check_trains(network, key)
        batch, num_steps = as_batch(batch), network.num_steps
        if self.warmup >= num_steps:
            raise ValueError(f"warmup={self.warmup} of a network of {num_steps} steps; leave at least one that teaches")
        if not is_static(network, batch.inputs):
            raise ValueError(
                "layer_local compares mean spikes with a teacher's activations of one image, not of frames"
            )
        step_loss, local = check_step_loss("layer_local", loss), _without_gradients_between(network)
        rates = self._rates(local, variables, batch.inputs)
        task = _Task(local, step_loss, variables, batch, rates, cells_key(key), self.unroll)
        learn = (
            functools.partial(_learn_online, task, self.warmup)
            if self.online
            else functools.partial(_learn_offline, task)
        )
        return with_hoisted(local, variables, batch, learn, jnp.arange(num_steps, dtype=jnp.int32) >= self.warmup)

    def __call__(
        self, network: Network, loss: Loss, update: Update, learner: Learner, batch: Batch, key: jax.Array | None
    ) -> tuple[Learner, Learned]:
        """See `Rule`."""
        learner, learned = super().__call__(network, loss, update, learner, batch, key)
        # Offline there is one loss, and not one of each step.
        return learner, learned if self.online else learned._replace(loss=learned.loss * network.num_steps)

    def _rates(self, network: Network, variables: Variables, inputs: jax.Array) -> ByPath:
        """The rates of every layer, if they are the network's layers."""

        def first_step() -> ByPath:
            hoisted, stats = hoist(network, *variables, inputs)
            return forward_step(network, hoisted, stats, None, inputs, 0, key=jax.random.key(0)).records

        for path, module in modules(network.model):
            height = _height_of(module.options) if isinstance(module, LIFCell) else 1
            if height != 1:
                raise ValueError(
                    f"{path} sends spikes of height {height}, and rates are of spikes of height 1; use "
                    "nn.lif(height=1.0)"
                )
        layers, taught = jax.eval_shape(first_step), self.teacher.activations(inputs)
        for path in sorted(layers.keys() ^ taught.keys()):
            whose, who = ("network", "teacher") if path in layers else ("teacher", "network")
            raise ValueError(
                f"{path} of the {whose} is no layer of neurons of the {who}; build both alike, with nn.no_norm() where "
                "only one of them normalises"
            )
        for path, layer in layers.items():
            if layer.shape != taught[path].shape:
                raise ValueError(f"{path} gives {layer.shape} and the teacher's {taught[path].shape}; build both alike")
        return {path: jax.lax.stop_gradient(rates_of(taught[path], self.percentile)[0]) for path in layers}


def _height_of(options: lif) -> float:
    """Of spikes, before θ has learned anything."""
    return options.threshold if options.height is None else options.height


def _without_gradients_between(network: Network) -> Network:
    """The same network that records, in which what neurons send on is a constant."""
    if network.model is None:
        raise TypeError("a network of functions of your own has no layers to cut; give nn.training_form(model)")

    def choose(path: str, module: nnx.Module) -> Interceptor | None:
        if not isinstance(module, NeuronCell):
            return None

        def cut(call: Callable[..., Any], state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
            left, spikes = call(state, x, tick)
            return left, jax.lax.stop_gradient(spikes)

        return cut

    return network_of(network.model, network.form._replace(record=True), choose)


class _Task(NamedTuple):
    """What all steps have in common; rates by path of the cell."""

    network: Network
    loss: StepLoss
    variables: Variables
    batch: Batch
    rates: ByPath
    key: jax.Array | None
    unroll: bool | None

    def start(self, params: Params) -> tuple[Any, ByPath, jax.Array]:
        """State, sums of spikes and of logits before the first step."""
        size = batch_size(self.network, self.batch.inputs)
        state = init_state(self.network, Variables(params, self.variables.batch_stats), size)
        logits = jnp.zeros((size, self.network.num_classes), jnp.float32)
        return state, jax.tree.map(jnp.zeros_like, self.rates), logits

    def step(self, hoisted: Hoisted, carry: Any, t: jax.Array) -> tuple[Any, jax.Array]:
        """One step of (state, statistics, sums of spikes, sum of logits), and its logits."""
        state, stats, sums, logits = carry
        output = forward_step(self.network, hoisted, stats, state, self.batch.inputs, t, key=self.key)
        sums = {path: total + output.records[path].astype(total.dtype) for path, total in sums.items()}
        return (output.state, output.batch_stats, sums, logits + output.logits), output.logits

    def distance(self, sums: ByPath, logits: jax.Array, steps: jax.Array) -> jax.Array:
        """The loss of the mean logits, plus every layer's squared distance of its mean spikes from its rates."""
        check_labels(logits.shape, self.batch.labels)
        distances = [jnp.mean(jnp.square(sums[path] / steps - rates)) for path, rates in self.rates.items()]
        return sum(distances, self.loss(logits / steps, self.batch.labels))


def _learn_offline(task: _Task, hoisted: Hoisted, batch_stats: Params) -> tuple[Params, Totals]:
    steps = jnp.arange(task.network.num_steps, dtype=jnp.int32)

    def total(hoisted: Hoisted) -> tuple[jax.Array, Any]:
        def body(carry: Any, t: jax.Array) -> tuple[Any, None]:
            return task.step(hoisted, carry, t)[0], None

        state, sums, logits = task.start(hoisted.params)
        carry = state, batch_stats, sums, logits
        unroll = xla_cpu.unrolls_gradients() if task.unroll is None else task.unroll
        (_, stats, sums, logits), _ = jax.lax.scan(body, carry, steps, unroll=unroll)
        return task.distance(sums, logits, jnp.float32(len(steps))), (stats, logits)

    (value, (batch_stats, logits)), grads = jax.value_and_grad(total, has_aux=True)(hoisted)
    return batch_stats, Totals(grads, value, logits)


def _learn_online(task: _Task, warmup: int, hoisted: Hoisted, batch_stats: Params) -> tuple[Params, Totals]:
    def forward_only(t: jax.Array, so_far: Any) -> Any:
        return task.step(hoisted, so_far, t)[0]

    def body(carry: Any, index: jax.Array) -> tuple[Any, None]:
        (so_far, totals), t = carry, index + warmup

        def of_step(hoisted: Hoisted) -> tuple[jax.Array, Any]:
            after, logits_t = task.step(hoisted, jax.lax.stop_gradient(so_far), t)
            _, _, sums, logits = after
            return task.distance(sums, logits, (t + 1).astype(jnp.float32)), (after, logits_t)

        (value, (so_far, logits)), grads = jax.value_and_grad(of_step, has_aux=True)(hoisted)
        return (so_far, jax.tree.map(jnp.add, totals, Totals(grads, value, logits))), None

    state, sums, logits = task.start(hoisted.params)
    totals = Totals(jax.tree.map(jnp.zeros_like, hoisted), jnp.zeros((), jnp.float32), logits)
    so_far = state, batch_stats, sums, logits
    so_far = jax.lax.fori_loop(jnp.int32(0), jnp.int32(warmup), forward_only, so_far)
    carry, learning_steps = (so_far, totals), task.network.num_steps - warmup
    ((_, batch_stats, _, _), totals), _ = over_steps(body, carry, learning_steps, unroll=task.unroll)
    return batch_stats, totals
