"""OTTT: "Online Training Through Time for Spiking Neural Networks" (Xiao et al., NeurIPS 2022)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import ERASED, SGD, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

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
NF_MB = 87.157  # of the ResNet-34 without normalisers
AS_CIFAR10 = " Its code normalises these images by the statistics of CIFAR-10, here they have their own."
BIASES = "Its convolutions have biases, {} MB with them; Table 1 prints the memory without."
GAP = (
    "Its network is VGG-11 with a global average before the linear layer, 36.90 MB with biases; Table 1 prints the "
    "memory of VGG-SNN."
)

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-vgg11-ottt",
            f"{title}, VGG-11 with standardised weights, T = 6: OTTT.",
            model=MODEL | {"architecture": "vgg11", "num_steps": 6},
            learning=LEARNING,
            data={"name": dataset} | ERASED,
            optimizer=OPTIMIZER,
            epochs=300,
            batch_size=128,
            source=f"Xiao et al.: {accuracy} %.",
            note="Not in Table 1." + AS_CIFAR10 * (dataset == "cifar100"),
        )
        for dataset, title, accuracy in (("cifar10", "CIFAR-10", 93.73), ("cifar100", "CIFAR-100", 71.11))
    ),
    preset(
        "imagenet-resnet34-ottt",
        "ImageNet, normaliser-free ResNet-34, T = 6: OTTT.",
        model=MODEL | {"architecture": "nf-resnet34", "num_steps": 6},
        learning=WITHOUT_MSE,
        data={"name": "imagenet", "flip": True},
        optimizer=OPTIMIZER | {"weight_decay": 2e-5},
        epochs=100,
        batch_size=256,
        paper=PaperFigures(TABLE, 65.15, 87.12),
        param_mb=NF_MB,
        source="Xiao et al.: 65.15 %.",
        note=BIASES.format(NF_MB),
    ),
    preset(
        "dvs-cifar10-vgg11-ottt",
        "DVS-CIFAR10, VGG-11 with standardised weights, T = 10: OTTT.",
        model=MODEL | {"architecture": "vgg11", "num_steps": 10, "dropout": 0.1},
        learning=EVENTS,
        data={"name": "dvs-cifar10", "crop_padding": 4},
        optimizer=OPTIMIZER,
        epochs=300,
        batch_size=128,
        paper=PaperFigures(TABLE, 76.30, 37.05),
        param_mb=36.900,
        source="Xiao et al.: 76.30 %; by a later paper 77.10 % with --learning.rule every_step.",
        note=GAP,
    ),
    digits("ottt", "OTTT, presynaptic traces.", model=MODEL, learning=LEARNING, optimizer=OPTIMIZER),
)
