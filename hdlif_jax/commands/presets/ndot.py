"""NDOT: "NDOT: Neuronal Dynamics-based Online Training for Spiking Neural Networks" (Jiang et al., ICML 2024)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.presets import ottt
from hdlif_jax.commands.presets.common import CROP, TABLE, digits, of, preset
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

MODEL: dict[str, Any] = ottt.MODEL
LEARNING, EVENTS = (dataclasses.replace(learning, trace="ratio-code") for learning in (ottt.LEARNING, ottt.EVENTS))

NOTE = "The traces are those of the authors' code, which gave its figures; those of its text are trace=ratio-paper."

PRESETS: dict[str, Preset] = of(
    *(
        preset(
            f"{dataset}-vgg11-ndot",
            f"{title}, VGG-11 with standardised weights, T = 6: NDOT.",
            model=MODEL | {"architecture": "vgg11", "num_steps": 6},
            learning=LEARNING,
            data={"name": dataset, "auto_augment": True, "cutout": 16} | CROP,
            optimizer=ottt.OPTIMIZER,
            epochs=300,
            batch_size=128,
            source=f"Jiang et al.: {accumulated} %; {updated} % with an update at every step.",
            note=f"Not in Table 1. {NOTE}",
        )
        for dataset, title, accumulated, updated in (
            ("cifar10", "CIFAR-10", 94.90, 94.89),
            ("cifar100", "CIFAR-100", 76.47, 76.61),
        )
    ),
    preset(
        "dvs-cifar10-vgg11-ndot",
        "DVS-CIFAR10, VGG-11 with standardised weights, T = 10: NDOT with an update at every step.",
        model=MODEL | {"architecture": "vgg11", "num_steps": 10, "dropout": 0.1},
        learning=dataclasses.replace(EVENTS, rule="every_step"),
        data={"name": "dvs-cifar10"} | CROP,
        optimizer=ottt.OPTIMIZER,
        epochs=300,
        batch_size=128,
        paper=PaperFigures(TABLE, 77.50, 37.05),
        param_mb=36.900,
        source="Jiang et al.: 77.50 %; 77.40 % with --learning.rule accumulate.",
        note=f"{ottt.GAP} {NOTE}",
    ),
    digits(
        "ndot",
        "NDOT, traces that decay with the ratio of membranes, as in its code.",
        model=MODEL,
        learning=LEARNING,
        optimizer=ottt.OPTIMIZER,
    ),
)
