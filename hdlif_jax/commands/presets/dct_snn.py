"""DCT-SNN: "Using DCT to Distribute Spatial Information over Time for Low-Latency SNNs" (Garg et al., ICCV 2021)."""

from typing import Any

from hdlif_jax.commands.config import FirstConfig, LearningConfig
from hdlif_jax.commands.presets.common import SGD, TABLE, digits, lif, of, preset, steps
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

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
LARGE: dict[str, Any] = {"architecture": "vgg13-linear", "dropout": 0.2}
QUOTED = (
    "Table 1 quotes the accuracy of the network without spikes that it begins with (56.91 % in the name of its "
    "checkpoint), and the memory of a VGG-13 without its large linear layers; the true one is 141.55 MB. Its script "
    "has T = 48."
)

PRESETS: dict[str, Preset] = of(
    preset(
        "imagenet200-vgg13-dct-ann",
        "ImageNet-200, VGG-13 with large linear layers: what DCT-SNN begins with, a network without spikes.",
        model=NETWORK | LARGE,
        learning=SUPERVISED,
        data=CROPPED,
        optimizer=SGD | {"learning_rate": 0.01, "weight_decay": 1e-4},
        epochs=100,
        batch_size=64,
        source="its code: 56.91 %, in the name of a checkpoint.",
        note="How many epochs it takes is not known; nor is its dropout of ½ between the linear layers here.",
    ),
    preset(
        "imagenet200-vgg13-dct-snn",
        "ImageNet-200, VGG-13 with large linear layers, T = 125: DCT-SNN.",
        model=SPIKING | LARGE | {"num_steps": 125},
        learning=THROUGH_TIME,
        data=CROPPED | {"encoding": "dct"},
        optimizer=ADAM | steps(0.5, *range(6, 42, 6)),
        epochs=42,
        batch_size=16,
        first=FirstConfig("imagenet200-vgg13-dct-ann"),
        paper=PaperFigures(TABLE, 56.90, 38.02),
        param_mb=141.548,
        source="Garg et al.: 52.43 %.",
        note=QUOTED,
    ),
    digits("dct-ann", "what DCT-SNN begins with, a network without spikes.", model=NETWORK, learning=SUPERVISED),
    digits(
        "dct-snn",
        "DCT-SNN, T = 32; frequencies one after the other, thresholds from data.",
        model=SPIKING | {"num_steps": 32},
        learning=THROUGH_TIME,
        data={"encoding": "dct"},
        epochs=20,
        optimizer=ADAM | {"learning_rate": 5e-3, "weight_decay": 0},
        first=FirstConfig("digits-dct-ann"),
    ),
)
