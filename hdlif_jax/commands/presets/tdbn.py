"""STBP-tdBN: "Going Deeper With Directly-Trained Larger Spiking Neural Networks" (Zheng et al., AAAI 2021)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, SGD, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = {  # the gain is α·θ with α = 1, and 1/√2 where branches are added
    "neuron": "lif",
    "lif": lif(decay=0.25, threshold=0.5, reset="hard", tie=">"),
    "surrogate": "rectangle",
    "norm": "tdbn",
    "norm_gain": 0.5,
}
RESIDUAL: dict[str, Any] = {"residual_gain": 2**-0.5}
LEARNING = LearningConfig(rule="stbp", loss="mean-output", label_smoothing=0)

RECIPE: dict[str, Any] = {
    "learning": LEARNING,
    "optimizer": SGD,
    "epochs": 200,
    "batch_size": 128,
    "note": "λ, θ, tie rule and recipe are not in the paper's public facts: they are those of later code.",
}

PRESETS: dict[str, Preset] = of(
    preset(
        "cifar10-resnet19-tdbn",
        "CIFAR-10, ResNet-19, T = 4: STBP-tdBN.",
        model=MODEL | RESIDUAL | {"architecture": "post-resnet19"},
        data={"name": "cifar10"} | CROP,
        paper=PaperFigures(TABLE, 92.92, 50.48),
        source="Zheng et al.: T = 6 93.16 % (from memory).",
        **RECIPE,
    ),
    preset(
        "imagenet-resnet34-tdbn",
        "ImageNet, ResNet-34, T = 6: STBP-tdBN.",
        model=MODEL | RESIDUAL | {"architecture": "post-resnet34", "num_steps": 6},
        data={"name": "imagenet", "flip": True},
        paper=PaperFigures(TABLE, 63.72, 87.12),
        **RECIPE,
    ),
    preset(
        "dvs-cifar10-resnet19-tdbn",
        "DVS-CIFAR10, ResNet-19, T = 10: STBP-tdBN.",
        model=MODEL | RESIDUAL | {"architecture": "post-resnet19", "num_steps": 10},
        data={"name": "dvs-cifar10"},
        paper=PaperFigures(TABLE, 67.80, 50.48),
        **RECIPE,
    ),
    digits("tdbn", "STBP-tdBN, BatchNorm over all time-steps with gain θ.", model=MODEL, learning=LEARNING),
)
