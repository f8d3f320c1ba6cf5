"""Which dataset, and what happens to its inputs."""

import dataclasses
import typing
from typing import Literal

from hdlif_jax.commands import registry
from hdlif_jax.commands.config.fields import require, require_choice
from hdlif_jax.data.frames import Slicing


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The dataset and how it is split."""

    name: Literal[tuple(registry.DATASETS)] = "digits"  # type: ignore[valid-type]
    """Dataset."""
    dir: str = "data"
    """Directory of prepared datasets (`python -m hdlif_jax.commands.prepare_data`); digits needs none."""
    validation_fraction: float = 0.1
    """Share of the training set that is held out to watch the run and to choose by; 0 trains on all of it."""
    feed: Literal["auto", "resident", "streaming"] = "auto"
    """resident: the training set lives on the device. streaming: worker processes read it from disk. auto: by size."""
    resident_limit_gib: float = 4.0
    """Largest training set, in GiB of uint8, that auto keeps on the device."""
    workers: int = 2
    """Processes that read and decode for the streaming feed."""
    slicing: Slicing = "equal-count"
    """What the frames of a recording have in common."""
    frame_size: int | None = None
    """Height and width of event frames; None is what the dataset usually has, such as 48 for dvs-cifar10."""
    image_size: int = 224
    """Height and width that images of varying size (imagenet) are cut to: a random resized crop in training."""
    crop_padding: int = 0
    """Training images are shifted by up to this many pixels (random crop with padding)."""
    flip: bool = False
    """Training images are mirrored with probability ½."""
    auto_augment: bool = False
    """Training images go through AutoAugment's policy for CIFAR-10."""
    cutout: int = 0
    """Side of the square of each training image that is set to the mean."""
    roll: int = 0
    """Training images are rolled by up to this many pixels."""
    rotation: float = 0.0
    """Training images are rotated by up to this many degrees."""
    mixup: float = 0.0
    """α of Mixup; 0 leaves it out."""
    cutmix: float = 0.0
    """α of CutMix; 0 leaves it out."""
    switch_probability: float = 0.5
    """Of CutMix instead of Mixup, where both are used."""
    encoding: Literal[tuple(registry.ENCODINGS)] = "direct"  # type: ignore[valid-type]
    """What an image becomes over time. direct: the normalised image, at every step. poisson: spikes with the
    probability of each pixel's intensity. latency: one spike for each pixel, the earlier the brighter."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        require_choice(self, name=registry.DATASETS, slicing=typing.get_args(Slicing), encoding=registry.ENCODINGS)
        require(0 <= self.validation_fraction < 1, f"validation_fraction={self.validation_fraction} must be in [0, 1)")
        for name in ("crop_padding", "cutout", "roll", "rotation", "mixup", "cutmix", "workers", "resident_limit_gib"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        require(0 <= self.switch_probability <= 1, f"switch_probability={self.switch_probability} must be in [0, 1]")
        require(self.image_size >= 1, f"image_size={self.image_size} must be at least 1")
        require(self.frame_size is None or self.frame_size >= 1, f"frame_size={self.frame_size} must be at least 1")
        require(
            not (self.auto_augment and self.is_events),
            f"auto_augment is for images, and {self.name} is made of events; use flip, roll and rotation",
        )
        require(
            self.encoding == DataConfig.encoding or not self.is_events,
            f"encoding={self.encoding!r} makes a sequence of an image, and {self.name} is made of sequences already; "
            "leave encoding unset",
        )

    @property
    def is_events(self) -> bool:
        """Whether inputs are recordings of an event camera."""
        return registry.DATASETS[self.name].is_sequence
