"""TET: "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting" (Deng et al., ICLR 2022)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

MODEL: dict[str, Any] = {"neuron": "lif", "lif": lif(reset="hard", tie=">"), "norm": "tdbn"}
LEARNING = LearningConfig(rule="stbp", loss="tet", label_smoothing=0, tet_weight=0.05)

ADAM: dict[str, Any] = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0}
RECIPE: dict[str, Any] = {
    "learning": LEARNING,
    "optimizer": ADAM,
    "epochs": 300,
    "batch_size": 128,
    "note": "The recipe is that of its DVS script; that of this dataset is not known.",
}

PRESETS: dict[str, Preset] = of(
    digits(
        "tet",
        "TET, the loss of every time-step.",
        model=MODEL,
        learning=LEARNING,
        optimizer=ADAM | {"learning_rate": 3e-3},
    ),
)
