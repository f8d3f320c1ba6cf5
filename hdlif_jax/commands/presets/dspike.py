"""Dspike: "Differentiable Spike: Rethinking Gradient-Descent for Training SNNs" (Li et al., NeurIPS 2021)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import SGD, digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

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
    "note": "λ, b at the start, the steps of b and the recipe are not in the paper's public facts.",
}

PRESETS: dict[str, Preset] = of(
    digits(
        "dspike",
        "Dspike, whose surrogate follows the finite differences of the loss from epoch to epoch.",
        model=MODEL,
        learning=LEARNING,
    ),
)
