"""OTTT: "Online Training Through Time for Spiking Neural Networks" (Xiao et al., NeurIPS 2022)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import SGD, digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

GAIN = 2.74  # of every spike, so that currents of standardised weights keep their variance
MODEL: dict[str, Any] = {
    "neuron": "lif",
    "lif": lif(height=GAIN, detach=True),
    "surrogate": "sigmoid",
    "surrogate_scale": 4.0,
    "weights": "standardized",
    "norm": "none",
    "bias": True,
}
LEARNING = LearningConfig(
    rule="accumulate",
    trace="decay",
    loss="cross-entropy+mse",
    mean_over_steps=True,
    label_smoothing=0,
)
OPTIMIZER: dict[str, Any] = SGD | {"weight_decay": 0}

WITHOUT_MSE = dataclasses.replace(LEARNING, loss="cross-entropy")
EVENTS = dataclasses.replace(LEARNING, mse_weight=1e-3)
GAP = (
    "Its network is VGG-11 with a global average before the linear layer, 36.90 MB with biases; Table 1 prints the "
    "memory of VGG-SNN."
)

PRESETS: dict[str, Preset] = of(
    digits("ottt", "OTTT, presynaptic traces.", model=MODEL, learning=LEARNING, optimizer=OPTIMIZER),
)
