"""TET: "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting" (Deng et al., ICLR 2022)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = {"neuron": "lif", "lif": lif(reset="hard", tie=">"), "norm": "tdbn"}
LEARNING = LearningConfig(rule="stbp", loss="tet", label_smoothing=0, tet_weight=0.05)
AS_IN_CODE = dataclasses.replace(LEARNING, tet_weight=1e-3)  # its default; 0.05 is said of CIFAR alone

ADAM: dict[str, Any] = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0}
RECIPE: dict[str, Any] = {
    "optimizer": ADAM,
    "epochs": 300,
    "batch_size": 128,
    "note": "The recipe is that of its DVS script; that of this dataset is not known.",
}

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-resnet19-tet",
            f"{title}, ResNet-19, T = 4: TET.",
            model=MODEL | {"architecture": "post-resnet19"},
            learning=LEARNING,
            data={"name": dataset} | CROP,
            paper=PaperFigures(TABLE, accuracy, param_mb),
            **RECIPE,
        )
        for dataset, title, accuracy, param_mb in (
            ("cifar10", "CIFAR-10", 94.44, 50.48),
            ("cifar100", "CIFAR-100", 74.47, 50.57),
        )
    ),
    preset(
        "imagenet-resnet34-tet",
        "ImageNet, ResNet-34, T = 6: TET.",
        model=MODEL | {"architecture": "post-resnet34", "num_steps": 6},
        learning=AS_IN_CODE,
        data={"name": "imagenet", "flip": True},
        paper=PaperFigures(TABLE, 64.79, 87.12),
        **RECIPE,
    ),
    preset(
        "dvs-cifar10-vgg-snn-tet",
        "DVS-CIFAR10, VGG-SNN, T = 10: TET, as its script trains it.",
        model=MODEL | {"architecture": "vgg-snn-strided", "num_steps": 10, "bias": True},
        data={"name": "dvs-cifar10", "flip": True, "roll": 5},
        learning=AS_IN_CODE,
        optimizer=ADAM,
        epochs=150,
        batch_size=128,
        source="Deng et al.: about 83 %.",
        note="Not in Table 1. Its convolutions stride where its text has pools.",
    ),
    digits(
        "tet",
        "TET, the loss of every time-step.",
        model=MODEL,
        learning=LEARNING,
        optimizer=ADAM | {"learning_rate": 3e-3},
    ),
)
