"""Dspike: "Differentiable Spike: Rethinking Gradient-Descent for Training SNNs" (Li et al., NeurIPS 2021)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, SGD, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = {
    "neuron": "lif",
    "lif": lif(threshold=0.5, reset="hard", tie=">"),
    "surrogate": "dspike",
    "norm": "tdbn",
}
LEARNING = LearningConfig(rule="stbp", loss="mean-output", label_smoothing=0)

RECIPE: dict[str, Any] = {
    "learning": LEARNING,
    "optimizer": SGD,
    "epochs": 300,
    "batch_size": 128,
    "note": "λ, b at the start, the steps of b and the recipe are not in the paper's public facts. Finite differences "
    "are of 64 weights of the first layer, drawn anew each epoch, where it takes all.",
}

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-resnet18-dspike",
            f"{title}, ResNet-18, T = 4: Dspike.",
            model=MODEL | {"architecture": "post-resnet18"},
            data={"name": dataset} | CROP,
            paper=PaperFigures(TABLE, accuracy, param_mb),
            source=source,
            **RECIPE,
        )
        for dataset, title, accuracy, param_mb, source in (
            ("cifar10", "CIFAR-10", 93.66, 44.66, "Li et al.: T = 6 94.25 % (from memory)."),
            ("cifar100", "CIFAR-100", 73.35, 44.84, "Li et al.: T = 6 74.24 % (from memory)."),
        )
    ),
    preset(
        "dvs-cifar10-resnet18-dspike",
        "DVS-CIFAR10, ResNet-18, T = 10: Dspike.",
        model=MODEL | {"architecture": "post-resnet18", "num_steps": 10},
        data={"name": "dvs-cifar10"},
        paper=PaperFigures(TABLE, 75.40, 44.66),
        source="Li et al.: 75.40 %.",
        **RECIPE,
    ),
    digits(
        "dspike",
        "Dspike, whose surrogate follows the finite differences of the loss from epoch to epoch.",
        model=MODEL,
        learning=LEARNING,
    ),
)
