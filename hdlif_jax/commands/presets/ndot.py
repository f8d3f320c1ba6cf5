"""NDOT: "NDOT: Neuronal Dynamics-based Online Training for Spiking Neural Networks" (Jiang et al., ICML 2024)."""

import dataclasses
from typing import Any

from hdlif_jax.commands.presets import ottt
from hdlif_jax.commands.presets.common import digits, of
from hdlif_jax.commands.presets.preset import Preset

MODEL: dict[str, Any] = ottt.MODEL
LEARNING, EVENTS = (dataclasses.replace(learning, trace="ratio-code") for learning in (ottt.LEARNING, ottt.EVENTS))

NOTE = "The traces are those of the authors' code, which gave its figures; those of its text are trace=ratio-paper."

PRESETS: dict[str, Preset] = of(
    digits(
        "ndot",
        "NDOT, traces that decay with the ratio of membranes, as in its code.",
        model=MODEL,
        learning=LEARNING,
        optimizer=ottt.OPTIMIZER,
    ),
)
