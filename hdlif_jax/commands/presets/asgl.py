"""ASGL: "Adaptive Smoothing Gradient Learning for Spiking Neural Networks" (Wang et al., ICML 2023)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, SGD, TABLE, digits, lif, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

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
    preset(
        "cifar100-resnet18-asgl",
        "CIFAR-100, ResNet-18, T = 2: ASGL.",
        model=MODEL | {"architecture": "post-resnet18", "num_steps": 2},
        learning=LEARNING,
        data={"name": "cifar100"} | AUGMENTATION,
        source="its code: 76.76 %.",
        note="Not in Table 1.",
        **RECIPE,
    ),
    *(
        preset(
            f"imagenet200-vgg13-asgl{f'-t{steps}' if steps != 4 else ''}",
            f"ImageNet-200, VGG-13, T = {steps}: ASGL.",
            model=MODEL | {"architecture": "vgg13", "num_steps": steps},
            learning=LEARNING,
            data={"name": "tiny-imagenet"} | AUGMENTATION,
            paper=PaperFigures(TABLE, accuracy, 38.02),
            note="The recipe is that of its CIFAR runs; that of this dataset is not known.",
            **RECIPE,
        )
        for steps, accuracy in ((4, 56.57), (8, 56.81))
    ),
    digits(
        "asgl",
        "ASGL, steps of a learned width that are smooth for a fifth of the neurons while they train.",
        model=MODEL,
        learning=LEARNING,
        optimizer=OPTIMIZER,
        epochs=60,
    ),
)
