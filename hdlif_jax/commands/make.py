"""From a configuration to the library's objects, by the names of the registry."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import hdlif_jax as hd
from hdlif_jax.commands.registry import (
    ENCODINGS,
    INITS,
    LOSSES,
    NETWORKS,
    NEURONS,
    NORMS,
    OPTIMIZERS,
    RULES,
    SCHEDULES,
    SURROGATES,
    TRACES,
)

if TYPE_CHECKING:
    import jax
    import optax
    from jax.sharding import Mesh

    from hdlif_jax import data, encodings, learning, nn, training
    from hdlif_jax.commands.config import DataConfig, LearningConfig, ModelConfig, OptimizerConfig, TrainConfig

EXAMPLES = 512  # that thresholds are found on


def make_spec(config: ModelConfig) -> nn.Spec:
    """What a network of a configuration is made of."""
    in_blocks = NETWORKS[config.architecture].has_blocks
    return hd.nn.Spec(
        num_steps=config.num_steps,
        neuron=NEURONS[config.neuron](config),
        second_neuron=NEURONS[config.second_neuron](config) if in_blocks else None,
        norm=NORMS[config.norm](config),
        residual_norm=None if config.residual_gain == 1 else NORMS[config.norm](_of_a_sum(config)),
        identity_norm=config.identity_norm,
        weights=config.weights,
        bias=config.bias,
        attention=config.attention,
        dropout=config.dropout,
        init=INITS[config.init](config),
    )


def make_model(config: ModelConfig, input_shape: tuple[int, ...], num_classes: int, seed: int) -> nn.SpikingNetwork:
    """The network of a configuration.

    Args:
      config: which network.
      input_shape: of one input at one time-step.
      num_classes: width of the output.
      seed: of the initial kernels.

    Raises:
      ValueError: an input shape or options that the architecture does not have.
    """
    from flax import nnx

    build, size, _ = NETWORKS[config.architecture]
    chosen = {} if getattr(config, size) is None else {size: getattr(config, size)}
    return build(input_shape, num_classes, spec=make_spec(config), rngs=nnx.Rngs(seed), **chosen)


def make_rule(config: LearningConfig, teacher: learning.Activations | None = None) -> learning.Rule:
    """The learning rule of a configuration.

    Args:
      config: which rule.
      teacher: of the rules that learn from one.

    Raises:
      ValueError: the rule learns from a teacher, and there is none.
    """
    rule, trace = RULES[config.rule](config, teacher), TRACES[config.trace]
    return rule if trace is None else hd.learning.traced(rule, trace())


def rule_for_network(config: TrainConfig, teacher: learning.Activations | None = None) -> learning.Rule:
    """The learning rule of a run, as the norms of its network need it; arguments and errors as those of `make_rule`."""
    rule = make_rule(config.learning, teacher)
    if NORMS[config.model.norm].over_sequence and isinstance(rule, hd.learning.stbp):
        rule = dataclasses.replace(rule, layerwise=True)
    return rule


def make_loss(config: LearningConfig, num_steps: int) -> learning.Loss:
    """The loss of a configuration, for networks of so many time-steps."""
    loss = LOSSES[config.loss](config)
    return hd.losses.weighted((1 / num_steps, loss)) if config.mean_over_steps else loss


def make_schedule(config: OptimizerConfig, updates_per_epoch: int, epochs: int) -> optax.Schedule:
    """The learning rate of a configuration, by number of updates."""
    return SCHEDULES[config.schedule](config, updates_per_epoch, epochs)


def make_optimizer(
    config: OptimizerConfig, learning_rate: optax.Schedule, network: nn.Network
) -> optax.GradientTransformation:
    """The optimiser of a configuration.

    Args:
      config: rule and hyper-parameters.
      learning_rate: by number of updates.
      network: whose parameters it moves.

    Raises:
      ValueError: a rate of the neurons' own, or of their gates, for a network whose neurons learn nothing such.
    """
    import jax
    import optax

    def everything(params: nn.Params) -> nn.Params:
        return jax.tree.map(lambda leaf: True, params)

    decays = everything if config.decay_all else hd.training.decaying_kernels(network.per_step)
    optimizer = OPTIMIZERS[config.name](config, learning_rate, decays)
    if config.cell_rate is not None:
        neurons = hd.training.neuron_params(network)
        if not any(jax.tree.leaves(neurons)):
            raise ValueError(
                f"cell_rate={config.cell_rate} is of what neurons learn, and these learn nothing; leave cell_rate "
                "unset, or choose neurons that learn, such as lif"
            )
        optimizer = hd.training.with_own_rule(optimizer, optax.adam(config.cell_rate), neurons)
    if config.gate_factor != 1:
        gates = hd.training.params_named(network, "gates")
        if not any(jax.tree.leaves(gates)):
            raise ValueError(
                f"gate_factor={config.gate_factor} is of the gates of neurons such as glif, and these have none; "
                "leave gate_factor unset"
            )
        optimizer = hd.training.slowed(optimizer, config.gate_factor, gates)
    return optimizer


def make_encoding(config: DataConfig, num_steps: int) -> encodings.Encoding | None:
    """The encoding of a configuration; None is direct, of normalised inputs instead of intensities."""
    encoding = ENCODINGS[config.encoding](config, num_steps)
    return None if isinstance(encoding, hd.encodings.direct) else encoding


def make_normalize(config: TrainConfig, dataset: data.Dataset) -> Callable[[jax.Array], jax.Array]:
    """What inputs of a dataset go through when nothing is learned: uint8 to a network's input, for jit."""
    return hd.training.make_normalize(dataset.mean, dataset.std, make_encoding(config.data, config.model.num_steps))


def make_augmentation(config: DataConfig) -> training.Augmentation:
    """What happens to training images."""
    names = [field.name for field in dataclasses.fields(hd.training.Augmentation)]
    return hd.training.Augmentation(**{name: getattr(config, name) for name in names})


def make_adjust(
    config: TrainConfig, plan: training.Plan, model: nn.SpikingNetwork, loss: learning.Loss
) -> training.Adjust | None:
    """What is chosen and not learned: thresholds before the first epoch, temperatures before each; None for nothing.

    Temperatures are chosen on a batch, and thresholds are found on 512 training images, as where they come from.
    """
    finds, chooses = config.model.lif.found_threshold, SURROGATES[config.model.surrogate].is_chosen
    if not finds and not chooses:
        return None
    import jax
    import jax.numpy as jnp

    choose = jax.jit(functools.partial(hd.training.choose_temperature, hd.nn.training_form(model), loss))

    def adjust(epoch: int, variables: nn.Variables, batch: learning.Batch) -> nn.Variables:
        if finds and epoch == 0:
            order = np.random.default_rng(config.seed).permutation(plan.train.shape[0])  # which may be by class
            examples = plan.train.read(np.sort(order[:EXAMPLES])).inputs
            inputs = make_normalize(config, plan.dataset)(jnp.asarray(examples))
            variables = hd.training.find_thresholds(model, variables, inputs)
        if chooses:
            key = jax.random.fold_in(jax.random.key(config.seed), epoch)
            variables = choose(variables, batch, key=key)
        return variables

    return adjust


def make_trainer(
    config: TrainConfig,
    dataset: data.Dataset,
    mesh: Mesh | None = None,
    teacher: learning.Activations | None = None,
) -> training.Trainer:
    """A configured run: its data, its compiled functions and its first state.

    Args:
      config: what to train and how.
      dataset: what to train on.
      mesh: the devices to train on, which change nothing of what is computed; all by default.
      teacher: of the rules that learn from one.

    Raises:
      ValueError: a dataset or devices that do not fit the configuration.
    """
    plan = hd.training.plan(
        dataset,
        epochs=config.epochs,
        batch_size=config.batch_size,
        validation_fraction=config.data.validation_fraction,
        resident=None if config.data.feed == "auto" else config.data.feed == "resident",
        resident_limit_gib=config.data.resident_limit_gib,
    )
    model = make_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
    rule, loss = rule_for_network(config, teacher), make_loss(config.learning, model.num_steps)
    updates_per_epoch = plan.steps_per_epoch * rule.updates_per_batch(model.num_steps)
    schedule = make_schedule(config.optimizer, updates_per_epoch, config.epochs)
    encoding = make_encoding(config.data, config.model.num_steps)
    return hd.training.Trainer(
        plan,
        model,
        rule,
        loss,
        make_optimizer(config.optimizer, schedule, hd.nn.training_form(model)),
        preprocess=hd.training.make_preprocess(
            dataset.mean,
            dataset.std,
            dataset.num_classes,
            augmentation=make_augmentation(config.data),
            encoding=encoding,
        ),
        encoding=encoding,
        learning_rate=schedule,
        recalibrate=config.recalibrate,
        adjust=make_adjust(config, plan, model, loss),
        seed=config.seed,
        dtype=config.precision,
        checkpoint_every_epochs=config.checkpoint_every_epochs,
        checkpoint_every_steps=config.checkpoint_every_steps,
        workers=config.data.workers,
        mesh=mesh,
    )


def _of_a_sum(config: ModelConfig) -> ModelConfig:
    """The configuration of normalisers whose output is added to another branch."""
    return dataclasses.replace(config, norm_gain=config.norm_gain * config.residual_gain)
