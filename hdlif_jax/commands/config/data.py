"""Which dataset, and what happens to its inputs."""

import dataclasses
from typing import Literal

from hdlif_jax.checks import Amount, Count, NotNegative, Probability, Share, check_fields
from hdlif_jax.commands import registry
from hdlif_jax.commands.config.fields import require
from hdlif_jax.data.frames import Slicing


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The dataset and how it is split."""

    name: Literal[(*registry.DATASETS, *registry.OWN_DATA)] = "digits"  # type: ignore[valid-type]
    """Dataset, or a kind of own data. folder: a folder of pictures for each class. npz: a file of arrays. tfds: a
    folder that tensorflow-datasets prepared."""
    dir: str = "data"
    """Directory of prepared datasets (`hdlif prepare-data`), or the own data itself; digits
    needs none."""
    validation_fraction: Share = 0.1
    """Share of the training set that is held out to watch the run and to choose by; 0 trains on all of it."""
    feed: Literal["auto", "resident", "streaming"] = "auto"
    """resident: the training set lives on the device. streaming: worker processes read it from disk. auto: by size."""
    resident_limit_gib: NotNegative = 4.0
    """Largest training set, in GiB of uint8, that auto keeps on the device."""
    workers: Amount = 2
    """Processes that read and decode for the streaming feed."""
    slicing: Slicing = "equal-count"
    """What the frames of a recording have in common."""
    frame_size: Count | None = None
    """Height and width of event frames; None is what the dataset usually has, such as 48 for dvs-cifar10."""
    image_size: Count | None = None
    """Height and width that images of varying size (imagenet, tfds) are cut to, 224 by default: a random resized crop
    in training. Pictures of a folder are scaled to it, where it is given."""
    resized_crop: bool = False
    """A box of 8 to 100 % of each training image is enlarged to its size (random resized crop)."""
    crop_padding: Amount = 0
    """Training images are shifted by up to this many pixels (random crop with padding)."""
    flip: bool = False
    """Training images are mirrored with probability ½."""
    auto_augment: bool = False
    """Training images go through AutoAugment's policy for CIFAR-10."""
    erasing: Probability = 0.0
    """Probability that a box of 2 to 40 % of a training image is set to one random grey (random erasing)."""
    cutout: Amount = 0
    """Side of the square of each training image that is set to the mean."""
    roll: Amount = 0
    """Training images are rolled by up to this many pixels."""
    rotation: NotNegative = 0.0
    """Training images are rotated by up to this many degrees."""
    mixup: NotNegative = 0.0
    """α of Mixup; 0 leaves it out."""
    cutmix: NotNegative = 0.0
    """α of CutMix; 0 leaves it out."""
    switch_probability: Probability = 0.5
    """Of CutMix instead of Mixup, where both are used."""
    encoding: Literal[tuple(registry.ENCODINGS)] = "direct"  # type: ignore[valid-type]
    """What an image becomes over time. direct: the normalised image, at every step. poisson: spikes with the
    probability of each pixel's intensity. latency: one spike for each pixel, the earlier the brighter. dct: the
    normalised image frequency by frequency, of blocks of 4×4 pixels, as spikes of −1, 0 and 1."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        if not self.is_own:
            self.check_kind(registry.DATASETS[self.name].is_sequence)

    @property
    def is_own(self) -> bool:
        """Whether it is own data, which `dir` names."""
        return self.name in registry.OWN_DATA

    def check_kind(self, is_sequence: bool) -> None:
        """Checks what happens to inputs against what they are, which of own data is known when it is opened.

        Raises:
          ValueError: frames, and what is for images.
        """
        for name in ("auto_augment", "resized_crop", "erasing"):
            require(
                not (getattr(self, name) and is_sequence),
                f"{name} is for images, and {self.name} is made of events; use flip, roll and rotation",
            )
        require(
            self.encoding == DataConfig.encoding or not is_sequence,
            f"encoding={self.encoding!r} makes a sequence of an image, and {self.name} is made of sequences already; "
            "leave encoding unset",
        )
