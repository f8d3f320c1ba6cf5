"""What the presets of earlier systems share: one recipe to compare them by, and one small network for the digits."""

import dataclasses
from typing import Any

from hdlif_jax.commands.config import (
    DataConfig,
    FirstConfig,
    LearningConfig,
    LIFConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from hdlif_jax.commands.presets.hd_lif import AUGMENTATION
from hdlif_jax.commands.presets.hd_lif import RECIPE as HD_LIF
from hdlif_jax.commands.presets.preset import PaperFigures, Preset
from hdlif_jax.commands.presets.small import DIGITS, DIGITS_NETWORK

KEPT = ("name", "dir", "validation_fraction", "slicing", "frame_size", "image_size", "encoding")  # of data: no recipe


def in_common(config: TrainConfig) -> TrainConfig:
    """The same network, loss and rule by the recipe of HD-LIF: its augmentation, optimiser, epochs and batches."""
    kept = {name: getattr(config.data, name) for name in KEPT}
    recipe = DIGITS if config.data.name == "digits" else HD_LIF | {"augmentation": AUGMENTATION[config.data.name]}
    return dataclasses.replace(
        config,
        recipe="common",
        epochs=recipe["epochs"],
        batch_size=recipe["batch_size"],
        data=DataConfig(**kept, **recipe["augmentation"]),
        optimizer=recipe["optimizer"],
        learning=dataclasses.replace(config.learning, label_smoothing=LearningConfig.label_smoothing),
    )


CROP: dict[str, Any] = {"crop_padding": 4, "flip": True}
ERASED: dict[str, Any] = CROP | {"erasing": 0.5}
SGD: dict[str, Any] = {"learning_rate": 0.1, "nesterov": False}  # momentum 0.9, then cosine to 0
TABLE = "Table 1"


def of(*presets: Preset) -> dict[str, Preset]:
    """Presets by name."""
    return {preset.config.preset: preset for preset in presets}


def steps(factor: float, *epochs: float) -> dict[str, Any]:
    """Of an optimiser: the learning rate is multiplied by a factor after each of these epochs."""
    return {"schedule": "steps", "milestones": epochs, "decay_factor": factor}


def lif(**options: Any) -> LIFConfig:
    """A LIF whose spikes are 0 or 1, and that learns neither λ nor θ."""
    return LIFConfig(**({"height": 1.0, "learn_decay": False, "learn_threshold": False} | options))


def preset(
    name: str,
    description: str,
    *,
    model: dict[str, Any],
    learning: LearningConfig,
    data: dict[str, Any],
    optimizer: dict[str, Any],
    epochs: int,
    batch_size: int,
    first: FirstConfig = FirstConfig(),
    paper: PaperFigures | None = None,
    param_mb: float | None = None,
    source: str | None = None,
    note: str | None = None,
) -> Preset:
    """A preset of a system in float weights, with its own recipe and the common one; see `Preset`."""
    config = TrainConfig(
        preset=name,
        epochs=epochs,
        batch_size=batch_size,
        first=first,
        model=ModelConfig(**{"weights": "float"} | model),
        data=DataConfig(**{"validation_fraction": 0} | data),
        optimizer=OptimizerConfig(**{"warmup_epochs": 0} | optimizer),
        learning=learning,
    )
    return Preset(description, config, paper, in_common(config), param_mb, source, note)


def digits(name: str, description: str, *, model: dict[str, Any], learning: LearningConfig, **recipe: Any) -> Preset:
    """A preset of a system on the digits, a minute or two on two cores: network and crop are those of all, mostly T."""
    data = {"name": "digits", "crop_padding": 1, "validation_fraction": 0.1} | recipe.pop("data", {})
    usual: dict[str, Any] = {"epochs": 40, "batch_size": 64, "optimizer": SGD}
    return preset(
        f"digits-{name}",
        f"Digits, the small VGG of all systems: {description}",
        model=DIGITS_NETWORK | model,
        learning=learning,
        data=data,
        **usual | recipe,
    )
