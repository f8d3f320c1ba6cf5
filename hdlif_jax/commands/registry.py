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
    import optax

    from hdlif_jax import encodings, learning, losses, nn
    from hdlif_jax.commands.config import DataConfig, LearningConfig, ModelConfig, OptimizerConfig
    from hdlif_jax.neurons import surrogates

    Mask = Callable[[nn.Params], Any]  # params -> True at those that decay


class Neuron(NamedTuple):
    """A neuron.

    Attributes:
      make: `(config)`, gives what makes the cells.
      reads: what it reads of the configuration: the levels of the quantiser of its spikes, or the surrogate derivative
        of spikes that are a step.
      holds_surrogate: whether its cells hold the number of a surrogate that changes while a network trains.
      traces: `(config)`, gives the names of the presynaptic traces that it has.
      has_spikes: whether it fires, or hands on a number at every step.
    """

    make: Callable[[ModelConfig], nn.CellFactory]
    reads: Literal["levels", "surrogate"] | None = None
    holds_surrogate: bool = False
    traces: Callable[[ModelConfig], tuple[str, ...]] = lambda config: ()
    has_spikes: bool = True

    def __call__(self, config: ModelConfig) -> nn.CellFactory:
        """What makes the cells of a configuration."""
        return self.make(config)


class Surrogate(NamedTuple):
    """A surrogate derivative.

    Attributes:
      make: `(config)`, gives the spike function.
      reads: what it reads of the configuration besides its scale.
      is_held: whether it has a number that changes while a network trains, and that the cells hold.
      is_chosen: whether that number is chosen before each epoch and not learned.
    """

    make: Callable[[ModelConfig], surrogates.SpikeFunction]
    reads: Literal["height", "noise"] | None = None
    is_held: bool = False
    is_chosen: bool = False

    def __call__(self, config: ModelConfig) -> surrogates.SpikeFunction:
        """The spike function of a configuration."""
        return self.make(config)


class Norm(NamedTuple):
    """A normaliser.

    Attributes:
      make: `(config)`, gives what makes the normalisers.
      over_sequence: whether they normalise all time-steps together, which online rules cannot use.
    """

    make: Callable[[ModelConfig], nn.NormFactory]
    over_sequence: bool = False

    def __call__(self, config: ModelConfig) -> nn.NormFactory:
        """What makes the normalisers of a configuration."""
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


class LearningRule(NamedTuple):
    """A learning rule.

    Attributes:
      make: `(config)`, or `(config, teacher)` of a rule that learns from one; gives the rule.
      of_sequences: whether it can learn from a loss of all time-steps together.
      has_teacher: whether it learns from another network.
    """

    make: Callable[..., learning.Rule]
    of_sequences: bool = False
    has_teacher: bool = False

    def __call__(self, config: LearningConfig, teacher: learning.Activations | None = None) -> learning.Rule:
        """The rule of a configuration.

        Raises:
          ValueError: it learns from a teacher, and there is none.
        """
        made: learning.Rule = self.make(config, *[teacher] * self.has_teacher)
        return made


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


DECAY = "decay"  # the trace that all have who say their leak

NEURONS: dict[str, Neuron] = {
    "lif": Neuron(
        lambda config: _lif(config),
        "surrogate",
        holds_surrogate=True,
        traces=lambda config: (DECAY, "ratio-code", "ratio-paper") if _has_ratios(config) else (DECAY,),
    ),
    "adaptive-lif": Neuron(lambda config: hd.nn.adaptive_lif(SURROGATES[config.surrogate](config)), "surrogate"),
    "glif": Neuron(lambda config: hd.nn.glif(), traces=lambda config: (DECAY,)),
    "hd-lif": Neuron(
        lambda config: hd.nn.hd_lif(config.spike_bits, config.spike_scale), "levels", traces=lambda config: (DECAY,)
    ),
    "mem-bn": Neuron(lambda config: hd.nn.mem_bn(config.spike_bits, config.spike_scale), "levels"),
    "parallel": Neuron(
        lambda config: hd.nn.parallel(config.spike_bits, config.spike_scale), "levels", traces=lambda config: (DECAY,)
    ),
    "relu": Neuron(lambda config: hd.nn.relu(config.relu_ceiling), has_spikes=False),
}

SURROGATES: dict[str, Surrogate] = {
    "triangle": Surrogate(
        lambda config: hd.neurons.surrogates.triangle(**_scale(config, "width"), height=config.surrogate_height),
        "height",
    ),
    "rectangle": Surrogate(
        lambda config: hd.neurons.surrogates.rectangle(**_scale(config, "width"), height=config.surrogate_height),
        "height",
    ),
    "sigmoid": Surrogate(lambda config: hd.neurons.surrogates.sigmoid(**_scale(config, "slope"))),
    "arctan": Surrogate(lambda config: hd.neurons.surrogates.arctan(**_scale(config, "slope"))),
    "fast-sigmoid": Surrogate(lambda config: hd.neurons.surrogates.fast_sigmoid(**_scale(config, "slope"))),
    "gaussian": Surrogate(lambda config: hd.neurons.surrogates.gaussian(**_scale(config, "width"))),
    "dspike": Surrogate(
        lambda config: hd.neurons.surrogates.dspike(**_scale(config, "temperature")), is_held=True, is_chosen=True
    ),
    "smooth-sigmoid": Surrogate(lambda config: _smooth_step(config, "sigmoid"), "noise", is_held=True),
    "smooth-ramp": Surrogate(lambda config: _smooth_step(config, "ramp"), "noise", is_held=True),
}

NORMS: dict[str, Norm] = {
    "batch-norm": Norm(lambda config: hd.nn.batch_norm(gain=config.norm_gain)),
    "tdbn": Norm(lambda config: _tdbn(config), over_sequence=True),
    "none": Norm(lambda config: hd.nn.no_norm()),
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
    "post-resnet18": Architecture(lambda *args, **options: hd.nn.post_resnet18(*args, **options)),
    "post-resnet19": Architecture(lambda *args, **options: hd.nn.post_resnet19(*args, **options)),
    "post-resnet34": Architecture(lambda *args, **options: hd.nn.post_resnet34(*args, **options)),
    "glif-resnet18": Architecture(lambda *args, **options: hd.nn.glif_resnet18(*args, **options)),
    "spike-resnet18": Architecture(lambda *args, **options: hd.nn.spike_resnet18(*args, **options)),
    "nf-resnet34": Architecture(lambda *args, **options: hd.nn.nf_resnet34(*args, **options)),
    "vgg": Architecture(lambda *args, **options: hd.nn.vgg(*args, **options), size="widths", has_blocks=False),
    "vgg11": Architecture(lambda *args, **options: hd.nn.vgg11(*args, **options), has_blocks=False),
    "vgg11-adaptive": Architecture(lambda *args, **options: hd.nn.vgg11_adaptive(*args, **options), has_blocks=False),
    "vgg11-strided": Architecture(lambda *args, **options: hd.nn.vgg11_strided(*args, **options), has_blocks=False),
    "vgg13-linear": Architecture(lambda *args, **options: hd.nn.vgg13_linear(*args, **options), has_blocks=False),
    "vgg-snn-strided": Architecture(
        lambda *args, **options: hd.nn.vgg_snn(*args, strided=True, **options), has_blocks=False
    ),
    "vgg13": Architecture(lambda *args, **options: hd.nn.vgg13(*args, **options), has_blocks=False),
    "vgg-snn": Architecture(lambda *args, **options: hd.nn.vgg_snn(*args, **options), has_blocks=False),
}

LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(lambda config: _cross_entropy(config)),
    "mean-squared-error": Loss(lambda config: hd.losses.mean_squared_error()),
    "cross-entropy+mse": Loss(lambda config: _cross_entropy_and_mse(config)),
    "mean-output": Loss(lambda config: hd.losses.of_mean_output(_cross_entropy(config)), of_sequences=True),
    "tet": Loss(
        lambda config: hd.losses.tet(_cross_entropy(config), weight=config.tet_weight, constant=config.tet_constant),
        of_sequences=True,
    ),
}

RULES: dict[str, LearningRule] = {
    "random_step": LearningRule(lambda config: hd.learning.random_step()),
    "random_k": LearningRule(lambda config: hd.learning.random_k(config.k, config.early_stop)),
    "accumulate": LearningRule(lambda config: hd.learning.accumulate()),
    "every_step": LearningRule(lambda config: hd.learning.every_step()),
    "stbp": LearningRule(lambda config: _stbp(config), of_sequences=True),
    "layer-local": LearningRule(lambda config, teacher: _layer_local(config, teacher, online=False), has_teacher=True),
    "layer-local-online": LearningRule(
        lambda config, teacher: _layer_local(config, teacher, online=True), has_teacher=True
    ),
}

TRACES: dict[str, Callable[[], learning.Trace] | None] = {
    "none": None,
    DECAY: lambda: hd.learning.decay_trace(),
    "ratio-code": lambda: hd.learning.ratio_trace("code"),
    "ratio-paper": lambda: hd.learning.ratio_trace("paper"),
}

OPTIMIZERS: dict[str, Callable[[OptimizerConfig, optax.Schedule, Mask], optax.GradientTransformation]] = {
    "sgd": lambda config, rate, decays: _sgd(config, rate, decays),
    "adam": lambda config, rate, decays: _adam(config, rate, decays),
    "adamw": lambda config, rate, decays: _adamw(config, rate, decays),
}

SCHEDULES: dict[str, Callable[[OptimizerConfig, int, int], optax.Schedule]] = {  # of updates an epoch, and epochs
    "cosine": lambda config, updates, epochs: hd.training.warmup_cosine(
        config.learning_rate, warmup=round(config.warmup_epochs * updates), total=updates * epochs
    ),
    "steps": lambda config, updates, epochs: hd.training.warmup_steps(
        config.learning_rate,
        warmup=round(config.warmup_epochs * updates),
        milestones=tuple(round(milestone * updates) for milestone in config.milestones),
        factor=config.decay_factor,
    ),
    "constant": lambda config, updates, epochs: hd.training.warmup_steps(
        config.learning_rate, warmup=round(config.warmup_epochs * updates)
    ),
}

ENCODINGS: dict[str, Callable[[DataConfig, int], encodings.Encoding]] = {  # of T steps
    "direct": lambda config, num_steps: hd.encodings.direct(),
    "poisson": lambda config, num_steps: hd.encodings.poisson(num_steps),
    "latency": lambda config, num_steps: hd.encodings.latency(num_steps),
    "dct": lambda config, num_steps: hd.encodings.dct(num_steps),
}

DATASETS: dict[str, data.Entry] = data.CATALOG

# Kinds of own data, which `data.dir` names: by (configuration, T, what a run kept of it).
OWN_DATA: dict[str, Callable[[DataConfig, int, data.DatasetInfo | None], data.Dataset]] = {
    "folder": lambda config, num_steps, info: data.open_folder(config.dir, image_size=config.image_size, info=info),
    "npz": lambda config, num_steps, info: data.open_npz(config.dir, num_steps=num_steps, info=info),
    "tfds": lambda config, num_steps, info: data.open_tfds(config.dir, image_size=config.image_size, info=info),
}


def _lif(config: ModelConfig) -> nn.CellFactory:
    options = {field.name: getattr(config.lif, field.name) for field in dataclasses.fields(config.lif)}
    return hd.nn.lif(SURROGATES[config.surrogate](config), **options)


def _has_ratios(config: ModelConfig) -> bool:
    return (config.lif.reset, config.lif.order) == ("soft", "charge-fire")


def _scale(config: ModelConfig, name: str) -> dict[str, float]:
    """The width, slope or temperature of a surrogate by its name; empty for the usual one."""
    return {} if config.surrogate_scale is None else {name: config.surrogate_scale}


def _smooth_step(config: ModelConfig, shape: Literal["sigmoid", "ramp"]) -> surrogates.SpikeFunction:
    return hd.neurons.surrogates.smooth_step(shape, **_scale(config, "width"), noise=config.surrogate_noise)


def _tdbn(config: ModelConfig) -> nn.NormFactory:
    return hd.nn.batch_norm(statistics="sequence", gain=config.norm_gain, unbiased=True)


def _cross_entropy(config: LearningConfig) -> losses.StepLoss:
    return hd.losses.cross_entropy(config.label_smoothing)


def _cross_entropy_and_mse(config: LearningConfig) -> losses.StepLoss:
    distance = hd.losses.mean_squared_error() if config.mse_target == "one-hot" else hd.losses.distance_to(1.0)
    return hd.losses.weighted((1 - config.mse_weight, _cross_entropy(config)), (config.mse_weight, distance))


def _stbp(config: LearningConfig) -> learning.Rule:
    from hdlif_jax import xla_cpu

    # Layer by layer on accelerators: on an H200 1.5 times as fast in 0.55 of the memory (`experiments.benchmarks.stbp`)
    layerwise = config.stbp_segment is None and not xla_cpu.on_cpu()
    return hd.learning.stbp(config.stbp_segment, layerwise=layerwise)


def _layer_local(config: LearningConfig, teacher: learning.Activations | None, *, online: bool) -> learning.Rule:
    if teacher is None:
        raise ValueError(
            f"rule={config.rule!r} learns from a teacher, a trained network without spikes; give make_rule a "
            "learning.Teacher(model, variables), or train one first with first.preset and first.use=teacher"
        )
    return hd.learning.layer_local(teacher, config.local_percentile, online, config.local_warmup)


def _sgd(config: OptimizerConfig, rate: optax.Schedule, decays: Mask) -> optax.GradientTransformation:
    import optax

    decay = optax.add_decayed_weights(config.weight_decay, decays)
    return optax.chain(decay, optax.sgd(rate, config.momentum, nesterov=config.nesterov))


def _adam(config: OptimizerConfig, rate: optax.Schedule, decays: Mask) -> optax.GradientTransformation:
    import optax

    return optax.chain(optax.add_decayed_weights(config.weight_decay, decays), optax.adam(rate, b1=config.momentum))


def _adamw(config: OptimizerConfig, rate: optax.Schedule, decays: Mask) -> optax.GradientTransformation:
    import optax

    return optax.adamw(rate, b1=config.momentum, weight_decay=config.weight_decay, mask=decays)
