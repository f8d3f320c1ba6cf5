"""One training step and one evaluation step, as pure functions to be jitted."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.nn import Network, Params, SpikingNetwork, Variables
from hdlif_jax.rollout.online import LossFunction
from hdlif_jax.training.config import LearningConfig, ModelConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run has learned; with the configuration, enough to go on exactly where it stopped.

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


class StepMetrics(NamedTuple):
    """Of one batch, before its update.

    Attributes:
      loss: mean over the learning steps, scalar.
      accuracy: of the summed logits of the learning steps, scalar.
    """

    loss: jax.Array
    accuracy: jax.Array


TrainStep = Callable[[TrainState, jax.Array, jax.Array], tuple[TrainState, StepMetrics]]


ARCHITECTURES: dict[str, Callable[..., SpikingNetwork]] = {
    "conv-net": nn.conv_net,
    "resnet18": nn.resnet18,
    "resnet19": nn.resnet19,
    "resnet34": nn.resnet34,
    "vgg13": nn.vgg13,
    "vgg-snn": nn.vgg_snn,
}


def build_model(config: ModelConfig, input_shape: tuple[int, int, int], num_classes: int, seed: int) -> SpikingNetwork:
    """The network of a configuration with kernels drawn from `seed`.

    Raises:
      ValueError: an input shape or options that the architecture does not have.
    """
    if config.architecture == "conv-net":
        size: dict[str, Any] = {"widths": config.widths}
    else:
        size = {} if config.width is None else {"width": config.width}
    constructor = ARCHITECTURES[config.architecture]
    return constructor(input_shape, num_classes, options=config, rngs=nnx.Rngs(seed), **size)


def smoothed_cross_entropy(label_smoothing: float) -> LossFunction:
    """Softmax cross-entropy of one step's logits `[B, K]`, mean over the batch.

    Args:
      label_smoothing: share of the target that is spread over all classes.

    Returns:
      A function of logits and of integer labels `[B]` or label distributions `[B, K]`.
    """

    def loss(logits, labels):
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype) if labels.ndim == 1 else labels
        return jnp.mean(optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing)))

    return loss


def normalize(inputs: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
    """uint8 `[..., C]` to float32 with zero mean and unit variance per channel."""
    channels = (1,) * (inputs.ndim - 1) + (-1,)
    mean_, std_ = (jnp.asarray(values, jnp.float32).reshape(channels) for values in (mean, std))
    return (inputs.astype(jnp.float32) / 255 - mean_) / std_


def make_train_step(
    network: Network,
    optimizer: optax.GradientTransformationExtraArgs,
    config: LearningConfig,
    prepare_batch: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
    seed: int,
) -> TrainStep:
    """Builds `(state, inputs, labels) -> (state, metrics)`, one batch of learning.

    Args:
      network: in training form.
      optimizer: from `make_optimizer`.
      config: the learning rule.
      prepare_batch: `(key, inputs, labels) -> (batch, targets)`, what happens to uint8 inputs on the device:
        augmentation and `normalize`. Targets are the labels, or `[B, K]` distributions where images were mixed.
      seed: with the step, the source of all randomness.
    """
    loss_function = smoothed_cross_entropy(config.label_smoothing)
    rules = {
        "random_step": rollout.random_step,
        "random_k": lambda *arguments: rollout.random_k(*arguments, k=config.k),
        "accumulate": lambda *arguments: rollout.accumulate(*arguments[:-1]),
        "stbp": lambda *arguments: rollout.stbp(*arguments[:-1], segment=config.stbp_segment),
    }

    def update(grads, opt_state, params, learned):
        updates, opt_state = optimizer.update(grads, opt_state, params, learned=learned)
        return optax.apply_updates(params, updates), opt_state

    def train_step(state: TrainState, inputs: jax.Array, labels: jax.Array) -> tuple[TrainState, StepMetrics]:
        learning_key, inputs_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step))
        batch, targets = prepare_batch(inputs_key, inputs, labels)
        if config.rule == "every_step":
            (params, batch_stats), opt_state, loss, logits = rollout.every_step(
                network, loss_function, state.variables, batch, targets, state.opt_state, update
            )
            num_learned = jnp.float32(network.num_steps)
        else:
            gradient = rules[config.rule](network, loss_function, state.variables, batch, targets, learning_key)
            params, opt_state = update(gradient.grads, state.opt_state, state.params, gradient.learned)
            batch_stats, loss, logits = gradient.batch_stats, gradient.loss, gradient.logits
            num_learned = jnp.sum(gradient.learned, dtype=jnp.float32)
        classes = targets if targets.ndim == 1 else jnp.argmax(targets, -1)  # of a mixed image, what most of it is
        accuracy = jnp.mean(jnp.argmax(logits, -1) == classes, dtype=jnp.float32)
        return TrainState(state.step + 1, params, batch_stats, opt_state), StepMetrics(loss / num_learned, accuracy)

    return train_step


def make_eval_step(
    network: Network, prepare_inputs: Callable[[jax.Array], jax.Array]
) -> Callable[[Variables, jax.Array, jax.Array], jax.Array]:
    """Builds `(variables, inputs, labels) -> [T]`, the number of right predictions after 1…T steps.

    A label of −1 never counts as right: it pads the last batch.
    """

    def eval_step(variables: Variables, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        return rollout.accuracy_per_step(rollout.rollout(network, variables, prepare_inputs(inputs)), labels)

    return eval_step
