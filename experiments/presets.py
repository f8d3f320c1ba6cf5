"""One named configuration per experiment; `python -m experiments.train NAME` runs it."""

from typing import Any, NamedTuple

from hdlif_jax.data import CATALOG
from hdlif_jax.training import DataConfig, ModelConfig, OptimizerConfig, TrainConfig


class PaperFigures(NamedTuple):
    """What the paper reports for a configuration; None where it reports nothing.

    Attributes:
      source: the table, and the row where it has a name.
      accuracy: test accuracy in %.
      param_mb: memory of convolution and linear weights in 10⁶ bytes.
      sops_m: synaptic operations per image in millions.
      nops_m: neural operations per image in millions.
      power_mj: energy per image in millijoules.
    """

    source: str
    accuracy: float | None = None
    param_mb: float | None = None
    sops_m: float | None = None
    nops_m: float | None = None
    power_mj: float | None = None

    def __str__(self) -> str:
        figures = {
            "{:.2f} %": self.accuracy,
            "{:.2f} MB": self.param_mb,
            "{:.2f} M SOPs": self.sops_m,
            "{:.2f} M NOPs": self.nops_m,
            "{:.2f} mJ": self.power_mj,
        }
        reported = [text.format(value) for text, value in figures.items() if value is not None]
        return f"paper, {self.source}: {', '.join(reported) or 'no figure'}"


class Preset(NamedTuple):
    """A configuration, what it is for, and what the paper reports for it."""

    description: str
    config: TrainConfig
    paper: PaperFigures | None = None


TITLES = {
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "vgg13": "VGG-13",
    "vgg-snn": "VGG-SNN",
    "lif": "LIF",
    "hd-lif": "HD-LIF",
    "mem-bn": "Mem-BN HD-LIF",
    "seca-2": "SECA II",
}
MIXING: dict[str, Any] = {"mixup": 0.8, "cutmix": 1.0}  # always one of the two, with probability ½
CIFAR_RECIPE: dict[str, Any] = MIXING | {"crop_padding": 4, "flip": True, "auto_augment": True}
AUGMENTATION: dict[str, dict[str, Any]] = {
    "cifar10": CIFAR_RECIPE | {"cutout": 16},
    "cifar100": CIFAR_RECIPE | {"cutout": 8},
    "tiny-imagenet": MIXING | {"crop_padding": 4, "flip": True},
    "imagenet": MIXING | {"flip": True},  # and the random resized crop of images of varying size
    "dvs-cifar10": MIXING | {"flip": True, "roll": 5},
}

# What a row changes of the defaults: HD-LIF, ternary weights, 4-bit spikes, half of a ResNet's neurons parallel.
LIF: dict[str, Any] = {"neuron": "lif", "weights": "float"}
BINARY: dict[str, Any] = {"weights": "binary"}
REAL_SPIKES: dict[str, Any] = {"spike_bits": None}
SERIAL: dict[str, Any] = {"parallel": False}
SECA: dict[str, Any] = {"neuron": "mem-bn", "attention": "seca-2"}
EVENTS: dict[str, Any] = {"num_steps": 10}
MEM_BN_EVENTS: dict[str, Any] = EVENTS | BINARY | {"neuron": "mem-bn"}


def describe(config: TrainConfig) -> str:
    """A configuration of the paper in one line."""
    model = config.model
    dataset = CATALOG[config.data.name].title
    parts = [f"{dataset}, {TITLES[model.architecture]}, T = {model.num_steps}: {TITLES[model.neuron]}"]
    if model.architecture.startswith("resnet") and model.second_neuron == "parallel":
        parts.append("half of the neurons parallel")
    parts.append(f"{model.weights} weights")
    if model.neuron != "lif":
        parts.append(f"{model.spike_bits}-bit spikes" if model.spike_bits else "unquantised spikes")
    if model.attention != "none":
        parts.append(TITLES[model.attention])
    return ", ".join(parts) + "."


def _of_paper(name: str, dataset: str, architecture: str, model: dict[str, Any], paper: PaperFigures) -> Preset:
    """A preset with the hyper-parameters of the authors' code; everything decays there."""
    config = TrainConfig(
        preset=name,
        epochs=300,
        batch_size=64,
        model=ModelConfig(architecture=architecture, **model),  # type: ignore[arg-type]
        data=DataConfig(name=dataset, **AUGMENTATION[dataset]),
        optimizer=OptimizerConfig(learning_rate=0.01, weight_decay=5e-4, warmup_epochs=5, decay_all=True),
    )
    return Preset(describe(config), config, paper)


_PAPER_ROWS: list[tuple[str, str, str, dict[str, Any], PaperFigures]] = [
    # Table 1, the rows marked "Ours"
    (
        "cifar10-resnet18-binary-4bit-parallel",
        "cifar10",
        "resnet18",
        BINARY,
        PaperFigures("Table 1", accuracy=95.59, param_mb=2.82),
    ),
    (
        "cifar100-resnet18-binary-4bit-parallel",
        "cifar100",
        "resnet18",
        BINARY,
        PaperFigures("Table 1", accuracy=78.45, param_mb=3.00),
    ),
    (
        "imagenet200-vgg13-binary-4bit",
        "tiny-imagenet",
        "vgg13",
        BINARY,
        PaperFigures("Table 1", accuracy=60.68, param_mb=2.77),
    ),
    (
        "imagenet-resnet34-ternary-4bit-parallel",
        "imagenet",
        "resnet34",
        {},
        PaperFigures("Table 1", accuracy=69.77, param_mb=10.06),
    ),
    (
        "dvs-cifar10-resnet18-binary-4bit-mem-bn",
        "dvs-cifar10",
        "resnet18",
        MEM_BN_EVENTS | SERIAL,
        PaperFigures("Table 1", accuracy=81.70, param_mb=2.81),
    ),
    (
        "dvs-cifar10-vgg-snn-binary-4bit-mem-bn",
        "dvs-cifar10",
        "vgg-snn",
        MEM_BN_EVENTS,
        PaperFigures("Table 1", accuracy=83.00, param_mb=2.49),
    ),
    # Table 2, the ablation
    (
        "cifar100-resnet18-lif",
        "cifar100",
        "resnet18",
        LIF,
        PaperFigures("Table 2, LIF", 71.75, 44.84, 273.02, 6.59, 0.25),
    ),
    (
        "cifar100-resnet18-ternary",
        "cifar100",
        "resnet18",
        REAL_SPIKES | SERIAL,
        PaperFigures("Table 2, HD-LIF", 80.16, 4.40, 284.49, 6.59, 0.26),
    ),
    (
        "cifar100-resnet18-ternary-4bit",
        "cifar100",
        "resnet18",
        SERIAL,
        PaperFigures("Table 2, HD-LIF †", 79.62, 4.40, 233.84, 6.59, 0.03),
    ),
    (
        "cifar100-resnet18-ternary-parallel",
        "cifar100",
        "resnet18",
        REAL_SPIKES,
        PaperFigures("Table 2, HD-LIF ‡", 78.82, 4.40, 254.08, 4.62, 0.23),
    ),
    (
        "cifar100-resnet18-ternary-4bit-parallel",
        "cifar100",
        "resnet18",
        {},
        PaperFigures("Table 2, HD-LIF †‡", 78.61, 4.40, 190.13, 4.62, 0.02),
    ),
    # Table 3, with SECA
    (
        "cifar10-resnet18-binary-4bit-seca",
        "cifar10",
        "resnet18",
        BINARY | SECA,
        PaperFigures("Table 3", accuracy=95.91, param_mb=2.82),
    ),
    (
        "cifar100-resnet18-binary-4bit-seca",
        "cifar100",
        "resnet18",
        BINARY | SECA,
        PaperFigures("Table 3", accuracy=79.33, param_mb=3.00),
    ),
    (
        "dvs-cifar10-resnet18-binary-4bit-seca",
        "dvs-cifar10",
        "resnet18",
        MEM_BN_EVENTS | SERIAL | SECA,
        PaperFigures("Table 3", accuracy=83.50, param_mb=2.81),
    ),
    # LIF baselines of the other networks; the memory is that of the full-precision backbones in Table 1
    ("cifar10-resnet18-lif", "cifar10", "resnet18", LIF, PaperFigures("Table 1, backbone", param_mb=44.66)),
    ("imagenet200-vgg13-lif", "tiny-imagenet", "vgg13", LIF, PaperFigures("Table 1, backbone", param_mb=38.02)),
    ("imagenet-resnet34-lif", "imagenet", "resnet34", LIF, PaperFigures("Table 1, backbone", param_mb=87.12)),
    (
        "dvs-cifar10-resnet18-lif",
        "dvs-cifar10",
        "resnet18",
        LIF | EVENTS,
        PaperFigures("Table 1, backbone", param_mb=44.66),
    ),
    (
        "dvs-cifar10-vgg-snn-lif",
        "dvs-cifar10",
        "vgg-snn",
        LIF | EVENTS,
        PaperFigures("Table 1, backbone", param_mb=37.05),
    ),
]

PRESETS: dict[str, Preset] = {
    "digits": Preset(
        "Handwritten digits of scikit-learn, 8×8 pixels; a small conv net of block (b), under a minute on two cores.",
        TrainConfig(
            preset="digits",
            epochs=40,
            model=ModelConfig(widths=(32, 64, 64)),
            data=DataConfig(name="digits", crop_padding=1),
            optimizer=OptimizerConfig(learning_rate=0.1),
        ),
    ),
    "fashion-mnist": Preset(
        "Fashion-MNIST, 28×28 pixels; VGG-13 with 12 instead of 64 channels, T = 2, ten minutes on two cores.",
        TrainConfig(
            preset="fashion-mnist",
            epochs=6,
            batch_size=64,
            model=ModelConfig(architecture="vgg13", width=12, num_steps=2),
            data=DataConfig(name="fashion-mnist", flip=True),
            optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0.5),
        ),
    ),
    "nmnist": Preset(
        "N-MNIST, recordings of an event camera in 10 frames; VGG-SNN of an eighth of its width, Mem-BN HD-LIF, "
        "five minutes on two cores for 1,000 recordings.",
        TrainConfig(
            preset="nmnist",
            epochs=15,
            batch_size=32,
            model=ModelConfig(architecture="vgg-snn", width=8, num_steps=10, neuron="mem-bn"),
            data=DataConfig(name="nmnist", crop_padding=2),
            optimizer=OptimizerConfig(learning_rate=0.05, warmup_epochs=2),
        ),
    ),
} | {row[0]: _of_paper(*row) for row in _PAPER_ROWS}
