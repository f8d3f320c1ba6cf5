"""GLIF: "A Unified Gated Leaky Integrate-and-Fire Neuron for Spiking Neural Networks" (Yao et al., NeurIPS 2022)."""

from typing import Any

from hdlif_jax.commands.config import LearningConfig
from hdlif_jax.commands.presets.common import CROP, SGD, TABLE, digits, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = {"neuron": "glif", "norm": "tdbn", "norm_gain": 0.5}
LEARNING = LearningConfig(rule="stbp", loss="mean-output", label_smoothing=0)
RESIDUAL: dict[str, Any] = {"architecture": "post-resnet18", "residual_gain": 2**-0.5, "identity_norm": True}
TWO_LINEARS: dict[str, Any] = {"architecture": "glif-resnet18"}
OPTIMIZER: dict[str, Any] = SGD | {"weight_decay": 4e-5, "gate_factor": 0.1}

# name of the dataset, its title, T, accuracies of Table 1 and of the code's README, own memory where it is another
_ROWS = (
    ("cifar10", "CIFAR-10", 4, 94.67, 94.75, 44.66),
    ("cifar10", "CIFAR-10", 6, 94.88, 95.09, 44.66),
    ("cifar100", "CIFAR-100", 4, 76.42, 76.50, 44.84),
    ("cifar100", "CIFAR-100", 6, 77.28, 77.49, 44.84),
)
HEAD = "Its head on CIFAR-10 is two linear layers in a row, 45.17 MB; Table 1 prints the memory of a plain head."

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-resnet18-glif{f'-t{steps}' if steps != 4 else ''}",
            f"{title}, ResNet-18, T = {steps}: GLIF.",
            model=MODEL | RESIDUAL | (TWO_LINEARS if dataset == "cifar10" else {}) | {"num_steps": steps},
            learning=LEARNING,
            data={"name": dataset} | CROP,
            optimizer=OPTIMIZER,
            epochs=200,
            batch_size=64,
            paper=PaperFigures(TABLE, accuracy, param_mb),
            param_mb=45.171 if dataset == "cifar10" else None,
            source=f"its code: {readme} %, probably the best of some runs.",
            note=HEAD if dataset == "cifar10" else None,
        )
        for dataset, title, steps, accuracy, readme, param_mb in _ROWS
    ),
    digits("glif", "GLIF, neurons with gates.", model=MODEL, learning=LEARNING, optimizer=OPTIMIZER),
)
