"""SLTT: "Towards Memory- and Time-Efficient Backpropagation for Training SNNs" (Meng et al., ICCV 2023)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import SGD, digits, lif, of
from hdlif_jax.commands.presets.ottt import GAIN
from hdlif_jax.commands.presets.preset import Preset

MODEL: dict[str, Any] = {"neuron": "lif", "lif": lif(decay=1 - 1 / 1.1)}
IMAGENET_MODEL: dict[str, Any] = {
    "architecture": "nf-resnet34",
    "neuron": "lif",
    "lif": lif(decay=1 - 1 / 1.1, height=GAIN),
    "weights": "standardized",
    "norm": "none",
    "bias": True,
}
CROSS_ENTROPY = LearningConfig(rule="accumulate", mean_over_steps=True, label_smoothing=0)
CONSTANT = dataclasses.replace(CROSS_ENTROPY, loss="cross-entropy+mse", mse_target="constant")
ONE_HOT = dataclasses.replace(CONSTANT, mse_target="one-hot")
RANDOM_STEPS: dict[str, Any] = {"rule": "random_k", "k": 2, "early_stop": False}
K, K_CROSS_ENTROPY = (dataclasses.replace(learning, **RANDOM_STEPS) for learning in (CONSTANT, CROSS_ENTROPY))

BIASES = "Its convolutions have biases, {} MB with them; Table 1 prints the memory without."
IMAGENET: dict[str, Any] = {"data": {"name": "imagenet", "flip": True}, "batch_size": 256}
FIRST_STAGE = "imagenet-resnet34-sltt-first"
EVENTS: dict[str, Any] = {
    "model": MODEL | {"architecture": "vgg11", "num_steps": 10, "dropout": 0.3},
    "data": {"name": "dvs-cifar10"},
    "optimizer": SGD | {"learning_rate": 0.05},
    "epochs": 300,
    "batch_size": 128,
    "note": "Not in Table 1. The batch size is that of its CIFAR runs.",
}

PRESETS: dict[str, Preset] = of(
    digits("sltt", "SLTT, the gradient within each time-step.", model=MODEL, learning=CONSTANT),
    digits("sltt-k", "SLTT-K, the gradient within K = 2 random time-steps.", model=MODEL, learning=K),
)
