"""The configuration of a training run: frozen dataclasses, which the command line and config.json mirror.

Choices are the names of the registry.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

from hdlif_jax import learning
from hdlif_jax.commands import registry
from hdlif_jax.data.events import Slicing
from hdlif_jax.losses import SequenceLoss
from hdlif_jax.nn.cell import spike_quantizer
from hdlif_jax.nn.spec import Attention
from hdlif_jax.quantize import SpikeQuantizer, WeightKind

SCHEMA = 1  # of config.json; raised when a field changes its meaning


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_choice(config: Any, **choices: Iterable[str]) -> None:
    """Checks that fields have one of the values that there are."""
    for name, known in choices.items():
        value = getattr(config, name)
        _require(value in known, f"{name}={value!r} is unknown; choose one of {', '.join(known)}")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: its architecture, and its neurons, weights and spikes."""

    num_steps: int = 4
    """T, the number of time-steps."""
    neuron: Literal[tuple(registry.NEURONS)] = "hd-lif"  # type: ignore[valid-type]
    """Neuron model; parallel makes all neurons Parallel HD-LIF."""
    parallel: bool | None = None
    """Whether the second neuron of each residual block is Parallel HD-LIF, block (b) of Fig. 3, half of all neurons;
    None means yes in blocks, except for LIF, which has no parallel form."""
    weights: WeightKind = "ternary"
    """Kernels of all convolutions but the first; the last linear layer is always float."""
    spike_bits: int | None = 4
    """n of the spike quantiser (Eq. 4); None for unquantised spikes. LIF spikes are binary anyway."""
    spike_scale: float = 0.25
    """s of the spike quantiser, the size of one level."""
    attention: Attention = "none"
    """Channel attention (Eqs. 9-10): none, SECA_I or SECA_II."""
    architecture: Literal[tuple(registry.NETWORKS)] = "conv-net"  # type: ignore[valid-type]
    """Network family."""
    widths: tuple[int, ...] = (32, 64, 64)
    """Channels per stage of conv-net."""
    width: int | None = None
    """Channels of the first stage of the other architectures, whose later stages are multiples; None is the paper's."""
    surrogate: Literal[tuple(registry.SURROGATES)] = "triangle"  # type: ignore[valid-type]
    """Derivative of the spikes of LIF, whose spikes are a step."""
    norm: Literal[tuple(registry.NORMS)] = "batch-norm"  # type: ignore[valid-type]
    """Normaliser of the currents."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range, or a mix that does not exist."""
        _require(self.num_steps >= 1, f"num_steps={self.num_steps} must be at least 1")
        _require_choice(
            self,
            neuron=registry.NEURONS,
            weights=typing.get_args(WeightKind),
            attention=typing.get_args(Attention),
            architecture=registry.NETWORKS,
            surrogate=registry.SURROGATES,
            norm=registry.NORMS,
        )
        _ = self.quantizer
        neuron, architecture = registry.NEURONS[self.neuron](self), registry.NETWORKS[self.architecture]
        _require(
            not self.parallel or self.spikes_in_levels,
            f"neuron={self.neuron!r} has no parallel form; use parallel=False or neuron='hd-lif'",
        )
        _require(
            self.neuron != "parallel" or self.parallel is not False,
            "neuron='parallel' makes all neurons parallel, but parallel=False; "
            "use neuron='hd-lif' for serial neurons, or leave parallel unset",
        )
        _require(
            not self.parallel or architecture.has_blocks or self.neuron == "parallel",
            f"parallel=True makes the second neuron of a residual block parallel, and {self.architecture} has no "
            "blocks; leave parallel unset, or use neuron='parallel' for all neurons",
        )
        _require(
            self.surrogate == ModelConfig.surrogate or hasattr(neuron, "surrogate"),
            f"surrogate={self.surrogate!r} is for neurons whose spikes are a step, such as neuron='lif'; the gradient "
            f"of {self.neuron} is exact: leave surrogate unset",
        )
        if architecture.size == "widths":
            _require(
                self.width is None,
                f"width={self.width} is not for {self.architecture}, which has widths; set widths",
            )
        else:
            _require(
                self.widths == ModelConfig.widths,
                f"widths={self.widths} are conv-net's; set width, the channels of {self.architecture}'s first stage",
            )
            _require(self.width is None or self.width >= 1, f"width={self.width} must be at least 1")

    @property
    def quantizer(self) -> SpikeQuantizer:
        """The spike quantiser Q."""
        return spike_quantizer(self.spike_bits, self.spike_scale)

    @property
    def spikes_in_levels(self) -> bool:
        """Whether spikes have the levels of the quantiser; those of LIF are 0 or of one height."""
        return hasattr(registry.NEURONS[self.neuron](self), "bits")

    @property
    def second_neuron(self) -> str:
        """Neuron model at the second position of a block."""
        parallel = self.spikes_in_levels if self.parallel is None else self.parallel
        return "parallel" if parallel else self.neuron


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The dataset and how it is split."""

    name: Literal[tuple(registry.DATASETS)] = "digits"  # type: ignore[valid-type]
    """Dataset."""
    dir: str = "data"
    """Directory of prepared datasets (`python -m hdlif_jax.commands.prepare_data`); digits needs none."""
    validation_fraction: float = 0.1
    """Share of the training set that is held out to watch the run and to choose by; 0 trains on all of it."""
    feed: Literal["auto", "resident", "streaming"] = "auto"
    """resident: the training set lives on the device. streaming: worker processes read it from disk. auto: by size."""
    resident_limit_gib: float = 4.0
    """Largest training set, in GiB of uint8, that auto keeps on the device."""
    workers: int = 2
    """Processes that read and decode for the streaming feed."""
    slicing: Slicing = "equal-count"
    """What the frames of a recording have in common."""
    frame_size: int | None = None
    """Height and width of event frames; None is what the dataset usually has, such as 48 for dvs-cifar10."""
    image_size: int = 224
    """Height and width that images of varying size (imagenet) are cut to: a random resized crop in training."""
    crop_padding: int = 0
    """Training images are shifted by up to this many pixels (random crop with padding)."""
    flip: bool = False
    """Training images are mirrored with probability ½."""
    auto_augment: bool = False
    """Training images go through AutoAugment's policy for CIFAR-10."""
    cutout: int = 0
    """Side of the square of each training image that is set to the mean."""
    roll: int = 0
    """Training images are rolled by up to this many pixels."""
    rotation: float = 0.0
    """Training images are rotated by up to this many degrees."""
    mixup: float = 0.0
    """α of Mixup; 0 leaves it out."""
    cutmix: float = 0.0
    """α of CutMix; 0 leaves it out."""
    switch_probability: float = 0.5
    """Of CutMix instead of Mixup, where both are used."""
    encoding: Literal[tuple(registry.ENCODINGS)] = "direct"  # type: ignore[valid-type]
    """What an image becomes over time. direct: the normalised image, at every step. poisson: spikes with the
    probability of each pixel's intensity. latency: one spike for each pixel, the earlier the brighter."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        _require_choice(self, name=registry.DATASETS, slicing=typing.get_args(Slicing), encoding=registry.ENCODINGS)
        _require(0 <= self.validation_fraction < 1, f"validation_fraction={self.validation_fraction} must be in [0, 1)")
        for name in ("crop_padding", "cutout", "roll", "rotation", "mixup", "cutmix", "workers", "resident_limit_gib"):
            _require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        _require(0 <= self.switch_probability <= 1, f"switch_probability={self.switch_probability} must be in [0, 1]")
        _require(self.image_size >= 1, f"image_size={self.image_size} must be at least 1")
        _require(self.frame_size is None or self.frame_size >= 1, f"frame_size={self.frame_size} must be at least 1")
        _require(
            not (self.auto_augment and self.is_events),
            f"auto_augment is for images, and {self.name} is made of events; use flip, roll and rotation",
        )
        _require(
            self.encoding == DataConfig.encoding or not self.is_events,
            f"encoding={self.encoding!r} makes a sequence of an image, and {self.name} is made of sequences already; "
            "leave encoding unset",
        )

    @property
    def is_events(self) -> bool:
        """Whether inputs are recordings of an event camera."""
        return registry.DATASETS[self.name].is_sequence


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its schedule."""

    name: Literal[tuple(registry.OPTIMIZERS)] = "sgd"  # type: ignore[valid-type]
    """SGD with Nesterov momentum, or AdamW."""
    learning_rate: float = 0.01
    """Peak learning rate."""
    momentum: float = 0.9
    """Nesterov momentum of SGD; β₁ of AdamW."""
    weight_decay: float = 5e-4
    """Weight decay: coupled, as in the paper, for SGD; decoupled for AdamW."""
    decay_all: bool = False
    """Decay norms, biases and neuron parameters too, as the authors' code does."""
    warmup_epochs: float = 5
    """Epochs of linear warm-up from 1 % of the peak; then cosine to 0."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        _require_choice(self, name=registry.OPTIMIZERS)
        _require(self.learning_rate > 0, f"learning_rate={self.learning_rate} must be positive")
        _require(0 <= self.momentum < 1, f"momentum={self.momentum} must be in [0, 1)")
        _require(self.weight_decay >= 0, f"weight_decay={self.weight_decay} must not be negative")
        _require(self.warmup_epochs >= 0, f"warmup_epochs={self.warmup_epochs} must not be negative")


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """Which time-steps teach."""

    rule: Literal[tuple(registry.RULES)] = "random_step"  # type: ignore[valid-type]
    """random_step: one random step a batch (Algorithm 1). random_k: the sum over K random steps. accumulate: the sum
    over all steps. every_step: an update after every step. stbp: the full gradient through time, for comparison."""
    k: int = 2
    """K of random_k."""
    stbp_segment: int | None = None
    """Of stbp: steps between states that are kept; the others are computed again (gradient checkpointing). None keeps
    all."""
    label_smoothing: float = 0.1
    """Label smoothing of the cross-entropy."""
    loss: Literal[tuple(registry.LOSSES)] = "cross-entropy"  # type: ignore[valid-type]
    """Loss of the logits of each step that teaches; with rule stbp also of all steps together (mean-output, tet)."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        _require_choice(self, rule=registry.RULES, loss=registry.LOSSES)
        _require(self.k >= 1, f"k={self.k} must be at least 1")
        _require(
            self.stbp_segment is None or self.stbp_segment >= 1, f"stbp_segment={self.stbp_segment} must be at least 1"
        )
        _require(
            self.stbp_segment is None or self.rule == "stbp",
            f"stbp_segment={self.stbp_segment} is for rule stbp; {self.rule} keeps no more than one step anyway",
        )
        _require(0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing} must be in [0, 1)")
        _require(
            isinstance(registry.RULES[self.rule](self), learning.stbp)
            or not isinstance(registry.LOSSES[self.loss](self), SequenceLoss),
            f"loss={self.loss!r} is of the whole sequence, and {self.rule} learns from single time-steps; use "
            "rule=stbp, or loss=cross-entropy",
        )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run, together with the package versions."""

    preset: str = "digits"
    """Name of the preset that this began as."""
    epochs: int = 300
    """Passes over the training set."""
    batch_size: int = 64
    """Images per update."""
    seed: int = 0
    """Of the initial kernels, the data order and the drawn time-steps."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    learning: LearningConfig = LearningConfig()
    checkpoint_every_epochs: int = 1
    """Epochs between checkpoints."""
    checkpoint_every_steps: int = 0
    """Batches between checkpoints within an epoch; 0 for none."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints are kept; the one with the best validation accuracy is kept besides."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and the currents and spikes between them while training. Parameters, statistics and membranes are
    float32 with either, and so is evaluation."""
    coherence_every: int = 0
    """Batches between comparisons of the online with the STBP gradient, on one batch; 0 for none."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        _require(self.epochs >= 1, f"epochs={self.epochs} must be at least 1")
        _require(self.batch_size >= 1, f"batch_size={self.batch_size} must be at least 1")
        _require(
            self.checkpoint_every_epochs >= 1, f"checkpoint_every_epochs={self.checkpoint_every_epochs} must be ≥ 1"
        )
        _require(
            self.checkpoint_every_steps >= 0,
            f"checkpoint_every_steps={self.checkpoint_every_steps} must not be negative; 0 for none",
        )
        _require(self.keep_checkpoints >= 1, f"keep_checkpoints={self.keep_checkpoints} must be at least 1")
        _require(self.coherence_every >= 0, f"coherence_every={self.coherence_every} must not be negative; 0 for none")
        _require(
            self.coherence_every == 0 or self.model.num_steps >= 2,
            f"coherence_every={self.coherence_every} with model.num_steps={self.model.num_steps}: at one time-step "
            "online and STBP gradients are the same; choose coherence_every=0 or model.num_steps ≥ 2",
        )
        _require(
            self.model.num_steps % (self.learning.stbp_segment or 1) == 0,
            f"learning.stbp_segment={self.learning.stbp_segment} does not divide "
            f"model.num_steps={self.model.num_steps}; choose a divisor",
        )
        if self.learning.rule == "random_k":
            _require(
                self.learning.k <= self.model.num_steps,
                f"learning.k={self.learning.k} exceeds model.num_steps={self.model.num_steps}; choose k ≤ num_steps",
            )


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain dicts and lists, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """The inverse of `to_dict`.

    Args:
      kind: the dataclass to build.
      values: its fields.

    Raises:
      ValueError: a field that does not exist or a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(values.keys() - names)
    _require(not unknown, f"{kind.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    return kind(**{name: _convert(hints[name], value, f"{kind.__name__}.{name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        _require(isinstance(value, dict), f"{where}={value!r} must be an object")
        return from_dict(typing.cast(type, hint), value)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        _require(isinstance(value, list), f"{where}={value!r} must be a list")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Literal:
        _require(value in arguments, f"{where}={value!r} must be one of {', '.join(map(str, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        accepted = tuple(arguments)
    else:
        accepted = (hint, int) if hint is float else (hint,)
    if float in accepted:
        accepted += (int,)
    allowed = isinstance(value, accepted) and not (isinstance(value, bool) and bool not in accepted)
    _require(allowed, f"{where}={value!r} must be {getattr(hint, '__name__', hint)}")
    return value
