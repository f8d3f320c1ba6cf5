"""SLTT: "Towards Memory- and Time-Efficient Backpropagation for Training SNNs" (Meng et al., ICCV 2023)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import FirstConfig, LearningConfig
from hdlif_jax.commands.presets.common import ERASED, SGD, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.ottt import BIASES, GAIN, NF_MB
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = {"neuron": "lif", "lif": lif(decay=1 - 1 / 1.1)}
IMAGENET_MODEL: dict[str, Any] = {
    "architecture": "nf-resnet34",
    "neuron": "lif",
    "lif": lif(decay=1 - 1 / 1.1, height=GAIN),
    "weights": "standardized",
    "norm": "none",
    "bias": True,
}
CROSS_ENTROPY = LearningConfig(rule="accumulate", mean_over_steps=True, label_smoothing=0)
CONSTANT = dataclasses.replace(CROSS_ENTROPY, loss="cross-entropy+mse", mse_target="constant")
ONE_HOT = dataclasses.replace(CONSTANT, mse_target="one-hot")
RANDOM_STEPS: dict[str, Any] = {"rule": "random_k", "k": 2, "early_stop": False}
K, K_CROSS_ENTROPY = (dataclasses.replace(learning, **RANDOM_STEPS) for learning in (CONSTANT, CROSS_ENTROPY))

IMAGENET: dict[str, Any] = {"data": {"name": "imagenet", "flip": True}, "batch_size": 256}
FIRST_STAGE = "imagenet-resnet34-sltt-first"
EVENTS: dict[str, Any] = {
    "model": MODEL | {"architecture": "vgg11-adaptive", "num_steps": 10, "dropout": 0.3},
    "data": {"name": "dvs-cifar10"},
    "optimizer": SGD | {"learning_rate": 0.05},
    "epochs": 300,
    "batch_size": 128,
    "note": "Not in Table 1. The batch size is that of its CIFAR runs.",
}

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-resnet18-sltt{'' if learning is CONSTANT else '-k'}",
            f"{title}, pre-activation ResNet-18, T = 6: SLTT{'' if learning is CONSTANT else '-K, K = 2'}.",
            model=MODEL | {"architecture": "spike-resnet18", "num_steps": 6, "bias": True},
            learning=learning,
            data={"name": dataset} | ERASED,
            optimizer=SGD | {"weight_decay": decay},
            epochs=200,
            batch_size=128,
            paper=PaperFigures(TABLE, accuracy, param_mb) if learning is CONSTANT else None,
            param_mb=own_mb,
            source=f"Meng et al.: SLTT {accuracy} %.",
            note=BIASES.format(own_mb),
        )
        for learning in (CONSTANT, K)
        for dataset, title, accuracy, decay, param_mb, own_mb in (
            ("cifar10", "CIFAR-10", 94.44, 5e-5, 44.66, 44.676),
            ("cifar100", "CIFAR-100", 74.38, 5e-4, 44.84, 44.861),
        )
    ),
    preset(
        FIRST_STAGE,
        "ImageNet, normaliser-free ResNet-34, T = 1: what SLTT begins with.",
        model=IMAGENET_MODEL | {"num_steps": 1},
        learning=CROSS_ENTROPY,
        optimizer=SGD | {"weight_decay": 1e-5},
        epochs=100,
        **IMAGENET,
    ),
    *(
        preset(
            f"imagenet-resnet34-sltt{'' if learning is CROSS_ENTROPY else '-k'}",
            f"ImageNet, normaliser-free ResNet-34, T = 6: SLTT{'' if learning is CROSS_ENTROPY else '-K, K = 2'}.",
            model=IMAGENET_MODEL | {"num_steps": 6},
            learning=learning,
            optimizer=SGD | {"learning_rate": 1e-3, "weight_decay": 0},
            epochs=30,
            first=FirstConfig(FIRST_STAGE),
            paper=PaperFigures(TABLE, 66.19, 87.12) if learning is CROSS_ENTROPY else None,
            param_mb=NF_MB,
            source="Meng et al.: SLTT 66.19 %.",
            note=BIASES.format(NF_MB),
            **IMAGENET,
        )
        for learning in (CROSS_ENTROPY, K_CROSS_ENTROPY)
    ),
    preset("dvs-cifar10-vgg11-sltt", "DVS-CIFAR10, VGG-11, T = 10: SLTT.", learning=ONE_HOT, **EVENTS),
    preset(
        "dvs-cifar10-vgg11-sltt-k",
        "DVS-CIFAR10, VGG-11, T = 10: SLTT-K, K = 2.",
        learning=dataclasses.replace(ONE_HOT, **RANDOM_STEPS),
        **EVENTS,
    ),
    digits("sltt", "SLTT, the gradient within each time-step.", model=MODEL, learning=CONSTANT),
    digits("sltt-k", "SLTT-K, the gradient within K = 2 random time-steps.", model=MODEL, learning=K),
)
