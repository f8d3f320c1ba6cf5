"""Data augmentation inside the jitted step: every image of a batch gets its own draw from the step's key."""

from hdlif_jax.training.augment.boxes import random_erasing, random_resized_crop
from hdlif_jax.training.augment.geometry import (
    cutout,
    random_crop,
    random_horizontal_flip,
    random_roll,
    random_rotation,
)
from hdlif_jax.training.augment.mixing import mix
from hdlif_jax.training.augment.policy import auto_augment

__all__ = [
    "auto_augment",
    "cutout",
    "mix",
    "random_crop",
    "random_erasing",
    "random_horizontal_flip",
    "random_resized_crop",
    "random_roll",
    "random_rotation",
]
