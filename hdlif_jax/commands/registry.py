"""Names to values: the only place where neurons, rules, losses and the like have names. A new one is one line here.

An entry is a function of the part of the configuration that it is chosen in, and gives the library's value; what a
configuration has to know of a value before there is one, its entry says. The library is imported when an entry is
called (`hd.nn`, not `from hdlif_jax import nn`), so that commands explain themselves and refuse at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import hdlif_jax as hd
from hdlif_jax import data

if TYPE_CHECKING:
    import jax
    import optax
    from jax.sharding import Mesh

    from hdlif_jax import encodings, learning, losses, nn, training
    from hdlif_jax.commands.config import DataConfig, LearningConfig, ModelConfig, OptimizerConfig, TrainConfig
    from hdlif_jax.neurons import surrogates

    Mask = Callable[[nn.Params], Any]  # params -> True at those that decay


class Neuron(NamedTuple):
    """A neuron.

    Attributes:
      make: `(config)`, gives what makes the cells.
      reads: what it reads of the configuration: the levels of the quantiser of its spikes, or the surrogate derivative
        of spikes that are a step.
    """

    make: Callable[[ModelConfig], nn.CellFactory]
    reads: Literal["levels", "surrogate"] | None = None

    def __call__(self, config: ModelConfig) -> nn.CellFactory:
        """What makes the cells of a configuration."""
        return self.make(config)


class Loss(NamedTuple):
    """A loss.

    Attributes:
      make: `(config)`, gives the loss.
      of_sequences: whether it is one of all time-steps together, which online rules cannot use.
    """

    make: Callable[[LearningConfig], learning.Loss]
    of_sequences: bool = False

    def __call__(self, config: LearningConfig) -> learning.Loss:
        """The loss of a configuration."""
        return self.make(config)


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


NEURONS: dict[str, Neuron] = {
    "lif": Neuron(lambda config: hd.nn.lif(SURROGATES[config.surrogate](config)), "surrogate"),
    "adaptive-lif": Neuron(lambda config: hd.nn.adaptive_lif(SURROGATES[config.surrogate](config)), "surrogate"),
    "hd-lif": Neuron(lambda config: hd.nn.hd_lif(config.spike_bits, config.spike_scale), "levels"),
    "mem-bn": Neuron(lambda config: hd.nn.mem_bn(config.spike_bits, config.spike_scale), "levels"),
    "parallel": Neuron(lambda config: hd.nn.parallel(config.spike_bits, config.spike_scale), "levels"),
}

SURROGATES: dict[str, Callable[[ModelConfig], surrogates.SpikeFunction]] = {
    "triangle": lambda config: hd.neurons.surrogates.triangle(),
    "rectangle": lambda config: hd.neurons.surrogates.rectangle(),
    "sigmoid": lambda config: hd.neurons.surrogates.sigmoid(),
    "arctan": lambda config: hd.neurons.surrogates.arctan(),
    "fast-sigmoid": lambda config: hd.neurons.surrogates.fast_sigmoid(),
    "gaussian": lambda config: hd.neurons.surrogates.gaussian(),
}

NORMS: dict[str, Callable[[ModelConfig], nn.NormFactory]] = {
    "batch-norm": lambda config: hd.nn.batch_norm(),
}

INITS: dict[str, Callable[[ModelConfig], nn.inits.Init]] = {
    "he-normal": lambda config: hd.nn.inits.he_normal(),
    "uniform": lambda config: hd.nn.inits.uniform(),
}

NETWORKS: dict[str, Architecture] = {
    "conv-net": Architecture(lambda *args, **options: hd.nn.conv_net(*args, **options), size="widths"),
    "resnet18": Architecture(lambda *args, **options: hd.nn.resnet18(*args, **options)),
    "resnet19": Architecture(lambda *args, **options: hd.nn.resnet19(*args, **options)),
    "resnet34": Architecture(lambda *args, **options: hd.nn.resnet34(*args, **options)),
    "vgg13": Architecture(lambda *args, **options: hd.nn.vgg13(*args, **options), has_blocks=False),
    "vgg-snn": Architecture(lambda *args, **options: hd.nn.vgg_snn(*args, **options), has_blocks=False),
}

LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(lambda config: _cross_entropy(config)),
    "mean-squared-error": Loss(lambda config: hd.losses.mean_squared_error()),
    "cross-entropy+mse": Loss(
        lambda config: hd.losses.weighted((0.95, _cross_entropy(config)), (0.05, hd.losses.mean_squared_error()))
    ),
    "mean-output": Loss(lambda config: hd.losses.of_mean_output(_cross_entropy(config)), of_sequences=True),
    "tet": Loss(lambda config: hd.losses.tet(_cross_entropy(config)), of_sequences=True),
}

RULES: dict[str, Callable[[LearningConfig], learning.Rule]] = {
    "random_step": lambda config: hd.learning.random_step(),
    "random_k": lambda config: hd.learning.random_k(config.k),
    "accumulate": lambda config: hd.learning.accumulate(),
    "every_step": lambda config: hd.learning.every_step(),
    "stbp": lambda config: _stbp(config),
}

OPTIMIZERS: dict[str, Callable[[OptimizerConfig, optax.Schedule, Mask], optax.GradientTransformation]] = {
    "sgd": lambda config, rate, decays: _sgd(config, rate, decays),
    "adamw": lambda config, rate, decays: _adamw(config, rate, decays),
}

ENCODINGS: dict[str, Callable[[DataConfig, int], encodings.Encoding]] = {  # of T steps
    "direct": lambda config, num_steps: hd.encodings.direct(),
    "poisson": lambda config, num_steps: hd.encodings.poisson(num_steps),
    "latency": lambda config, num_steps: hd.encodings.latency(num_steps),
}

DATASETS: dict[str, data.Entry] = data.CATALOG

# Kinds of own data, which `data.dir` names: by (configuration, T, what a run kept of it).
OWN_DATA: dict[str, Callable[[DataConfig, int, data.DatasetInfo | None], data.Dataset]] = {
    "folder": lambda config, num_steps, info: data.open_folder(config.dir, image_size=config.image_size, info=info),
    "npz": lambda config, num_steps, info: data.open_npz(config.dir, num_steps=num_steps, info=info),
    "tfds": lambda config, num_steps, info: data.open_tfds(config.dir, image_size=config.image_size, info=info),
}


def make_spec(config: ModelConfig) -> nn.Spec:
    """What a network of a configuration is made of."""
    in_blocks = NETWORKS[config.architecture].has_blocks
    return hd.nn.Spec(
        num_steps=config.num_steps,
        neuron=NEURONS[config.neuron](config),
        second_neuron=NEURONS[config.second_neuron](config) if in_blocks else None,
        norm=NORMS[config.norm](config),
        weights=config.weights,
        attention=config.attention,
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


def make_rule(config: LearningConfig) -> learning.Rule:
    """The learning rule of a configuration."""
    return RULES[config.rule](config)


def make_loss(config: LearningConfig) -> learning.Loss:
    """The loss of a configuration."""
    return LOSSES[config.loss](config)


def make_schedule(config: OptimizerConfig, updates_per_epoch: int, epochs: int) -> optax.Schedule:
    """The learning rate of a configuration, by number of updates."""
    return hd.training.warmup_cosine(
        config.learning_rate,
        warmup=round(config.warmup_epochs * updates_per_epoch),
        total=updates_per_epoch * epochs,
    )


def make_optimizer(
    config: OptimizerConfig, learning_rate: optax.Schedule, per_step: nn.Params
) -> optax.GradientTransformation:
    """The optimiser of a configuration.

    Args:
      config: rule and hyper-parameters.
      learning_rate: by number of updates.
      per_step: True at the parameters that are indexed by time, as in `nn.Network.per_step`.
    """
    import jax

    def everything(params: nn.Params) -> nn.Params:
        return jax.tree.map(lambda leaf: True, params)

    decays = everything if config.decay_all else hd.training.decaying_kernels(per_step)
    return OPTIMIZERS[config.name](config, learning_rate, decays)


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


def make_trainer(config: TrainConfig, dataset: data.Dataset, mesh: Mesh | None = None) -> training.Trainer:
    """A configured run: its data, its compiled functions and its first state.

    Args:
      config: what to train and how.
      dataset: what to train on.
      mesh: the devices to train on, which change nothing of what is computed; all by default.

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
    rule = make_rule(config.learning)
    updates_per_epoch = plan.steps_per_epoch * rule.updates_per_batch(model.num_steps)
    schedule = make_schedule(config.optimizer, updates_per_epoch, config.epochs)
    encoding = make_encoding(config.data, config.model.num_steps)
    return hd.training.Trainer(
        plan,
        model,
        rule,
        make_loss(config.learning),
        make_optimizer(config.optimizer, schedule, hd.nn.training_form(model).per_step),
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
        seed=config.seed,
        dtype=config.precision,
        checkpoint_every_epochs=config.checkpoint_every_epochs,
        checkpoint_every_steps=config.checkpoint_every_steps,
        workers=config.data.workers,
        mesh=mesh,
    )


def _cross_entropy(config: LearningConfig) -> losses.StepLoss:
    return hd.losses.cross_entropy(config.label_smoothing)


def _stbp(config: LearningConfig) -> learning.Rule:
    from hdlif_jax import xla_cpu

    # Layer by layer on accelerators: on an H200 1.5 times as fast in 0.55 of the memory (`experiments.benchmarks.stbp`)
    layerwise = config.stbp_segment is None and not xla_cpu.on_cpu()
    return hd.learning.stbp(config.stbp_segment, layerwise=layerwise)


def _sgd(config: OptimizerConfig, rate: optax.Schedule, decays: Mask) -> optax.GradientTransformation:
    import optax

    decay = optax.add_decayed_weights(config.weight_decay, decays)
    return optax.chain(decay, optax.sgd(rate, config.momentum, nesterov=True))


def _adamw(config: OptimizerConfig, rate: optax.Schedule, decays: Mask) -> optax.GradientTransformation:
    import optax

    return optax.adamw(rate, b1=config.momentum, weight_decay=config.weight_decay, mask=decays)
