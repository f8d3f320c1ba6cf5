"""ASGL: "Adaptive Smoothing Gradient Learning for Spiking Neural Networks" (Wang et al., ICML 2023)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, SGD, digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

MODEL: dict[str, Any] = {
    "neuron": "lif",
    "lif": lif(reset="hard", learn_decay=True, height=None),
    "surrogate": "smooth-sigmoid",
    "surrogate_noise": 0.2,
    "norm": "tdbn",
}
LEARNING = LearningConfig(rule="stbp", loss="mean-output", label_smoothing=0)
OPTIMIZER: dict[str, Any] = SGD | {"weight_decay": 5e-4, "cell_rate": 3e-4}

RECIPE: dict[str, Any] = {"optimizer": OPTIMIZER, "epochs": 300, "batch_size": 128}
AUGMENTATION: dict[str, Any] = CROP | {"auto_augment": True, "cutout": 16}

PRESETS: dict[str, Preset] = of(
    digits(
        "asgl",
        "ASGL, steps of a learned width that are smooth for a fifth of the neurons while they train.",
        model=MODEL,
        learning=LEARNING,
        optimizer=OPTIMIZER,
    ),
)
