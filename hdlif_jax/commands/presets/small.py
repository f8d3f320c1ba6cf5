"""Small datasets and networks, for a look at everything on two cores."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.commands.presets.preset import Preset

DIGITS: dict[str, Any] = {
    "epochs": 40,
    "batch_size": 64,
    "augmentation": {"crop_padding": 1},
    "optimizer": OptimizerConfig(learning_rate=0.1),
}

DIGITS_NETWORK: dict[str, Any] = {"architecture": "vgg", "widths": (32, 64, 64)}  # of all systems, to compare them

_HD_LIF = TrainConfig(
    preset="digits-hd-lif",
    epochs=DIGITS["epochs"],
    batch_size=DIGITS["batch_size"],
    model=ModelConfig(**DIGITS_NETWORK),
    data=DataConfig(name="digits", **DIGITS["augmentation"]),
    optimizer=DIGITS["optimizer"],
)


def _small_cifar(name: str, description: str) -> Preset:
    """ResNet-18 of a quarter of its width, by the recipe that was found on CIFAR-100 (`experiments/results`)."""
    return Preset(
        description,
        TrainConfig(
            preset=f"{name}-small",
            epochs=14,
            batch_size=128,
            model=ModelConfig(architecture="resnet18", width=16),
            data=DataConfig(name=name, crop_padding=2, flip=True),
            optimizer=OptimizerConfig(learning_rate=0.2, warmup_epochs=1, decay_all=True),
        ),
    )


PRESETS: dict[str, Preset] = {
    "digits": Preset(
        "Handwritten digits of scikit-learn, 8×8 pixels; a small conv net of block (b), under a minute on two cores.",
        TrainConfig(
            preset="digits",
            epochs=DIGITS["epochs"],
            batch_size=DIGITS["batch_size"],
            model=ModelConfig(widths=(32, 64, 64)),
            data=DataConfig(name="digits", **DIGITS["augmentation"]),
            optimizer=DIGITS["optimizer"],
        ),
    ),
    "digits-hd-lif": Preset(
        "Digits, the small VGG of all systems: HD-LIF, ternary weights, 4-bit spikes, one random time-step.",
        _HD_LIF,
        common=dataclasses.replace(_HD_LIF, recipe="common"),
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
    "cifar100-small": _small_cifar(
        "cifar100",
        "CIFAR-100, 32×32 pixels; ResNet-18 with 16 instead of 64 channels, ternary weights, 4-bit spikes, half of the "
        "neurons parallel, half an hour on two cores: 60.85 %.",
    ),
    "cifar10-small": _small_cifar("cifar10", "CIFAR-10, by the recipe of cifar100-small."),
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
}
