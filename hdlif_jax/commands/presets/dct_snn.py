"""DCT-SNN: "Using DCT to Distribute Spatial Information over Time for Low-Latency SNNs" (Garg et al., ICCV 2021)."""

from typing import Any

from hdlif_jax.commands.config import FirstConfig, LearningConfig
from hdlif_jax.commands.presets.common import digits, lif, of
from hdlif_jax.commands.presets.preset import Preset

NETWORK: dict[str, Any] = {"neuron": "relu", "num_steps": 1, "norm": "none"}
SPIKING: dict[str, Any] = {
    "neuron": "lif",
    "lif": lif(decay=0.9901, tie=">", order="fire-charge", relative=True, detach=True, found_threshold=True),
    "surrogate_height": 0.3,
    "norm": "none",
}
SUPERVISED = LearningConfig(rule="accumulate", label_smoothing=0)
ADAM: dict[str, Any] = {"name": "adam", "learning_rate": 1e-4, "weight_decay": 5e-4}
THROUGH_TIME = LearningConfig(rule="stbp", loss="mean-output", label_smoothing=0)

CROPPED: dict[str, Any] = {"name": "tiny-imagenet", "resized_crop": True, "flip": True}
LARGE: dict[str, Any] = {"architecture": "vgg13-large", "dropout": 0.2}
QUOTED = (
    "Table 1 quotes the accuracy of the network without spikes that it begins with (56.91 % in the name of its "
    "checkpoint), and the memory of a VGG-13 without its large linear layers; the true one is 141.55 MB. Its script "
    "has T = 48."
)

PRESETS: dict[str, Preset] = of(
    digits("dct-ann", "what DCT-SNN begins with, a network without spikes.", model=NETWORK, learning=SUPERVISED),
    digits(
        "dct-snn",
        "DCT-SNN, T = 32; frequencies one after the other, thresholds from data.",
        model=SPIKING | {"num_steps": 32},
        learning=THROUGH_TIME,
        data={"encoding": "dct"},
        epochs=20,
        optimizer=ADAM | {"learning_rate": 1e-3},
        first=FirstConfig("digits-dct-ann"),
    ),
)
