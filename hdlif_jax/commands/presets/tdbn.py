"""STBP-tdBN: "Going Deeper With Directly-Trained Larger Spiking Neural Networks" (Zheng et al., AAAI 2021)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import SGD, digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

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
    digits("tdbn", "STBP-tdBN, BatchNorm over all time-steps with gain θ.", model=MODEL, learning=LEARNING),
)
