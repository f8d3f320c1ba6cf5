"""The rows of "Rethinking SNN Online Training and Deployment" (CVPR 2026, arXiv 2410.07547), and LIF baselines."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.commands.presets.preset import PaperFigures, Preset
from hdlif_jax.commands.registry import DATASETS, NETWORKS

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

# The authors' code: everything decays, and nothing is held out.
RECIPE: dict[str, Any] = {
    "epochs": 300,
    "batch_size": 64,
    "optimizer": OptimizerConfig(learning_rate=0.01, weight_decay=5e-4, warmup_epochs=5, decay_all=True),
}

# What a row changes of the defaults: HD-LIF, ternary weights, 4-bit spikes, half of a ResNet's neurons parallel.
LIF: dict[str, Any] = {"neuron": "lif", "weights": "float"}
BINARY: dict[str, Any] = {"weights": "binary"}
SERIAL: dict[str, Any] = {"parallel": False}
REAL: dict[str, Any] = {"spike_bits": None}
SECA: dict[str, Any] = BINARY | {"neuron": "mem-bn", "attention": "seca-2"}
EVENTS: dict[str, Any] = {"num_steps": 10}
MEM_BN: dict[str, Any] = EVENTS | BINARY | {"neuron": "mem-bn"}
SECA_EVENTS: dict[str, Any] = MEM_BN | SERIAL | SECA

_ROWS: list[tuple[Any, ...]] = [
    # name, dataset, architecture, changes, then the paper's source, accuracy, MB, SOPs, NOPs, mJ
    # Table 1, the rows marked "Ours"
    ("cifar10-resnet18-binary-4bit-parallel", "cifar10", "resnet18", BINARY, "Table 1", 95.59, 2.82),
    ("cifar100-resnet18-binary-4bit-parallel", "cifar100", "resnet18", BINARY, "Table 1", 78.45, 3.00),
    ("imagenet200-vgg13-binary-4bit", "tiny-imagenet", "vgg13", BINARY, "Table 1", 60.68, 2.77),
    ("imagenet-resnet34-ternary-4bit-parallel", "imagenet", "resnet34", {}, "Table 1", 69.77, 10.06),
    ("dvs-cifar10-resnet18-binary-4bit-mem-bn", "dvs-cifar10", "resnet18", MEM_BN | SERIAL, "Table 1", 81.70, 2.81),
    ("dvs-cifar10-vgg-snn-binary-4bit-mem-bn", "dvs-cifar10", "vgg-snn", MEM_BN, "Table 1", 83.00, 2.49),
    # Table 2, the ablation
    ("cifar100-resnet18-lif", "cifar100", "resnet18", LIF, "Table 2, LIF", 71.75, 44.84, 273.02, 6.59, 0.25),
    (
        "cifar100-resnet18-ternary", "cifar100", "resnet18", REAL | SERIAL,
        "Table 2, HD-LIF", 80.16, 4.40, 284.49, 6.59, 0.26,
    ),
    (
        "cifar100-resnet18-ternary-4bit", "cifar100", "resnet18", SERIAL,
        "Table 2, HD-LIF †", 79.62, 4.40, 233.84, 6.59, 0.03,
    ),
    (
        "cifar100-resnet18-ternary-parallel", "cifar100", "resnet18", REAL,
        "Table 2, HD-LIF ‡", 78.82, 4.40, 254.08, 4.62, 0.23,
    ),
    (
        "cifar100-resnet18-ternary-4bit-parallel", "cifar100", "resnet18", {},
        "Table 2, HD-LIF †‡", 78.61, 4.40, 190.13, 4.62, 0.02,
    ),
    # Table 3, with SECA
    ("cifar10-resnet18-binary-4bit-seca", "cifar10", "resnet18", SECA, "Table 3", 95.91, 2.82),
    ("cifar100-resnet18-binary-4bit-seca", "cifar100", "resnet18", SECA, "Table 3", 79.33, 3.00),
    ("dvs-cifar10-resnet18-binary-4bit-seca", "dvs-cifar10", "resnet18", SECA_EVENTS, "Table 3", 83.50, 2.81),
    # LIF baselines of the other networks; the memory is that of the full-precision backbones in Table 1
    ("cifar10-resnet18-lif", "cifar10", "resnet18", LIF, "Table 1, backbone", None, 44.66),
    ("imagenet200-vgg13-lif", "tiny-imagenet", "vgg13", LIF, "Table 1, backbone", None, 38.02),
    ("imagenet-resnet34-lif", "imagenet", "resnet34", LIF, "Table 1, backbone", None, 87.12),
    ("dvs-cifar10-resnet18-lif", "dvs-cifar10", "resnet18", LIF | EVENTS, "Table 1, backbone", None, 44.66),
    ("dvs-cifar10-vgg-snn-lif", "dvs-cifar10", "vgg-snn", LIF | EVENTS, "Table 1, backbone", None, 37.05),
]  # fmt: skip


def describe(config: TrainConfig) -> str:
    """A configuration of the paper in one line."""
    model = config.model
    dataset = DATASETS[config.data.name].title
    parts = [f"{dataset}, {TITLES[model.architecture]}, T = {model.num_steps}: {TITLES[model.neuron]}"]
    if NETWORKS[model.architecture].has_blocks and model.second_neuron == "parallel":
        parts.append("half of the neurons parallel")
    parts.append(f"{model.weights} weights")
    if model.spikes_in_levels:
        parts.append(f"{model.spike_bits}-bit spikes" if model.spike_bits else "unquantised spikes")
    if model.attention != "none":
        parts.append(TITLES[model.attention])
    return ", ".join(parts) + "."


def _preset(name: str, dataset: str, architecture: str, model: dict[str, Any], *paper: Any) -> Preset:
    """A preset with the hyper-parameters of the authors' code, which are the common ones, too."""
    config = TrainConfig(
        preset=name,
        model=ModelConfig(architecture=architecture, **model),
        data=DataConfig(name=dataset, validation_fraction=0, **AUGMENTATION[dataset]),
        **RECIPE,
    )
    return Preset(describe(config), config, PaperFigures(*paper), dataclasses.replace(config, recipe="common"))


PRESETS: dict[str, Preset] = {row[0]: _preset(*row) for row in _ROWS}
