"""Names to values: the only place where neurons, rules, losses and the like have names. A new one is one line here.

An entry is a function of the part of the configuration that it is chosen in, and gives the library's value; networks
and datasets, which also say something about themselves, are records.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import optax
from flax import nnx
from jax.sharding import Mesh

from hdlif_jax import data, encodings, learning, losses, nn, training, xla_cpu
from hdlif_jax.neurons import surrogates

if TYPE_CHECKING:  # it takes its choices from here
    from hdlif_jax.commands.config import DataConfig, LearningConfig, ModelConfig, OptimizerConfig, TrainConfig

Mask = Callable[[nn.Params], Any]  # params -> True at those that decay


class Architecture(NamedTuple):
    """A family of networks.

    Attributes:
      build: `(input_shape, num_classes, *, spec, rngs)`, and the size; gives the network.
      size: the argument that sets the size: channels of the first stage, or of every stage.
      has_blocks: whether there is a second neuron in each block, half of all, that may be a parallel one.
    """

    build: Callable[..., nn.SpikingNetwork]
    size: Literal["width", "widths"] = "width"
    has_blocks: bool = True


NEURONS: dict[str, Callable[["ModelConfig"], nn.CellFactory]] = {
    "lif": lambda config: nn.lif(SURROGATES[config.surrogate](config)),
    "adaptive-lif": lambda config: nn.adaptive_lif(SURROGATES[config.surrogate](config)),
    "hd-lif": lambda config: nn.hd_lif(config.spike_bits, config.spike_scale),
    "mem-bn": lambda config: nn.mem_bn(config.spike_bits, config.spike_scale),
    "parallel": lambda config: nn.parallel(config.spike_bits, config.spike_scale),
}

SURROGATES: dict[str, Callable[["ModelConfig"], surrogates.SpikeFunction]] = {
    "triangle": lambda config: surrogates.triangle(),
    "rectangle": lambda config: surrogates.rectangle(),
    "sigmoid": lambda config: surrogates.sigmoid(),
    "arctan": lambda config: surrogates.arctan(),
    "fast-sigmoid": lambda config: surrogates.fast_sigmoid(),
    "gaussian": lambda config: surrogates.gaussian(),
}

NORMS: dict[str, Callable[["ModelConfig"], nn.NormFactory]] = {
    "batch-norm": lambda config: nn.batch_norm(),
}

INITS: dict[str, Callable[["ModelConfig"], nn.inits.Init]] = {
    "he-normal": lambda config: nn.inits.he_normal(),
    "uniform": lambda config: nn.inits.uniform(),
}

NETWORKS: dict[str, Architecture] = {
    "conv-net": Architecture(nn.conv_net, size="widths"),
    "resnet18": Architecture(nn.resnet18),
    "resnet19": Architecture(nn.resnet19),
    "resnet34": Architecture(nn.resnet34),
    "vgg13": Architecture(nn.vgg13, has_blocks=False),
    "vgg-snn": Architecture(nn.vgg_snn, has_blocks=False),
}

LOSSES: dict[str, Callable[["LearningConfig"], learning.Loss]] = {
    "cross-entropy": lambda config: losses.cross_entropy(config.label_smoothing),
    "mean-squared-error": lambda config: losses.mean_squared_error(),
    "cross-entropy+mse": lambda config: losses.weighted(
        (0.95, losses.cross_entropy(config.label_smoothing)), (0.05, losses.mean_squared_error())
    ),
    "mean-output": lambda config: losses.of_mean_output(losses.cross_entropy(config.label_smoothing)),
    "tet": lambda config: losses.tet(losses.cross_entropy(config.label_smoothing)),
}

RULES: dict[str, Callable[["LearningConfig"], learning.Rule]] = {
    "random_step": lambda config: learning.random_step(),
    "random_k": lambda config: learning.random_k(config.k),
    "accumulate": lambda config: learning.accumulate(),
    "every_step": lambda config: learning.every_step(),
    # Layer by layer on accelerators: on an H200 1.5 times as fast in 0.55 of the memory (`experiments.benchmarks.stbp`)
    "stbp": lambda config: learning.stbp(
        config.stbp_segment, layerwise=config.stbp_segment is None and not xla_cpu.on_cpu()
    ),
}

OPTIMIZERS: dict[str, Callable[["OptimizerConfig", optax.Schedule, Mask], optax.GradientTransformation]] = {
    "sgd": lambda config, rate, decays: optax.chain(
        optax.add_decayed_weights(config.weight_decay, decays), optax.sgd(rate, config.momentum, nesterov=True)
    ),
    "adamw": lambda config, rate, decays: optax.adamw(
        rate, b1=config.momentum, weight_decay=config.weight_decay, mask=decays
    ),
}

ENCODINGS: dict[str, Callable[["DataConfig", int], encodings.Encoding]] = {  # of T steps
    "direct": lambda config, num_steps: encodings.direct(),
    "poisson": lambda config, num_steps: encodings.poisson(num_steps),
    "latency": lambda config, num_steps: encodings.latency(num_steps),
}

DATASETS: dict[str, data.Entry] = data.CATALOG


def make_spec(config: "ModelConfig") -> nn.Spec:
    """What a network of a configuration is made of."""
    in_blocks = NETWORKS[config.architecture].has_blocks
    return nn.Spec(
        num_steps=config.num_steps,
        neuron=NEURONS[config.neuron](config),
        second_neuron=NEURONS[config.second_neuron](config) if in_blocks else None,
        norm=NORMS[config.norm](config),
        weights=config.weights,
        attention=config.attention,
        init=INITS[config.init](config),
    )


def make_model(config: "ModelConfig", input_shape: tuple[int, ...], num_classes: int, seed: int) -> nn.SpikingNetwork:
    """The network of a configuration.

    Args:
      config: which network.
      input_shape: of one input at one time-step.
      num_classes: width of the output.
      seed: of the initial kernels.

    Raises:
      ValueError: an input shape or options that the architecture does not have.
    """
    build, size, _ = NETWORKS[config.architecture]
    chosen = {} if getattr(config, size) is None else {size: getattr(config, size)}
    return build(input_shape, num_classes, spec=make_spec(config), rngs=nnx.Rngs(seed), **chosen)


def make_rule(config: "LearningConfig") -> learning.Rule:
    """The learning rule of a configuration."""
    return RULES[config.rule](config)


def make_loss(config: "LearningConfig") -> learning.Loss:
    """The loss of a configuration."""
    return LOSSES[config.loss](config)


def make_schedule(config: "OptimizerConfig", updates_per_epoch: int, epochs: int) -> optax.Schedule:
    """The learning rate of a configuration, by number of updates."""
    return training.warmup_cosine(
        config.learning_rate,
        warmup=round(config.warmup_epochs * updates_per_epoch),
        total=updates_per_epoch * epochs,
    )


def make_optimizer(
    config: "OptimizerConfig", learning_rate: optax.Schedule, per_step: nn.Params
) -> optax.GradientTransformation:
    """The optimiser of a configuration.

    Args:
      config: rule and hyper-parameters.
      learning_rate: by number of updates.
      per_step: True at the parameters that are indexed by time, as in `nn.Network.per_step`.
    """

    def everything(params: nn.Params) -> nn.Params:
        return jax.tree.map(lambda leaf: True, params)

    decays = everything if config.decay_all else training.decaying_kernels(per_step)
    return OPTIMIZERS[config.name](config, learning_rate, decays)


def make_encoding(config: "DataConfig", num_steps: int) -> encodings.Encoding | None:
    """The encoding of a configuration; None is direct, of normalised inputs instead of intensities."""
    encoding = ENCODINGS[config.encoding](config, num_steps)
    return None if isinstance(encoding, encodings.direct) else encoding


def make_normalize(config: "TrainConfig", dataset: data.Dataset) -> Callable[[jax.Array], jax.Array]:
    """What inputs of a dataset go through when nothing is learned: uint8 to a network's input, for jit."""
    return training.make_normalize(dataset.mean, dataset.std, make_encoding(config.data, config.model.num_steps))


def make_augmentation(config: "DataConfig") -> training.Augmentation:
    """What happens to training images."""
    names = [field.name for field in dataclasses.fields(training.Augmentation)]
    return training.Augmentation(**{name: getattr(config, name) for name in names})


def make_trainer(config: "TrainConfig", dataset: data.Dataset, mesh: Mesh | None = None) -> training.Trainer:
    """A configured run: its data, its compiled functions and its first state.

    Args:
      config: what to train and how.
      dataset: what to train on.
      mesh: the devices to train on, which change nothing of what is computed; all by default.

    Raises:
      ValueError: a dataset or devices that do not fit the configuration.
    """
    plan = training.plan(
        dataset,
        epochs=config.epochs,
        batch_size=config.batch_size,
        validation_fraction=config.data.validation_fraction,
        resident=None if config.data.feed == "auto" else config.data.feed == "resident",
        resident_limit_gib=config.data.resident_limit_gib,
    )
    model = make_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
    rule = make_rule(config.learning)
    updates_per_epoch = plan.steps_per_epoch * rule.updates_per_batch(model.num_steps)
    schedule = make_schedule(config.optimizer, updates_per_epoch, config.epochs)
    encoding = make_encoding(config.data, config.model.num_steps)
    return training.Trainer(
        plan,
        model,
        rule,
        make_loss(config.learning),
        make_optimizer(config.optimizer, schedule, nn.training_form(model).per_step),
        preprocess=training.make_preprocess(
            dataset.mean,
            dataset.std,
            dataset.num_classes,
            augmentation=make_augmentation(config.data),
            encoding=encoding,
        ),
        encoding=encoding,
        learning_rate=schedule,
        recalibrate=config.recalibrate,
        seed=config.seed,
        dtype=config.precision,
        checkpoint_every_epochs=config.checkpoint_every_epochs,
        checkpoint_every_steps=config.checkpoint_every_steps,
        workers=config.data.workers,
        mesh=mesh,
    )
