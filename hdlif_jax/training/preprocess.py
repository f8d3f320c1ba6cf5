"""What inputs go through on the device: augmentation, normalisation, encoding; inside the jitted step."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from hdlif_jax.checks import Amount, Count, NotNegative, Positive, Probability, check_arguments, check_fields
from hdlif_jax.encodings import Encoding, reads_normalized
from hdlif_jax.losses import one_hot
from hdlif_jax.ops import intensities, normalize
from hdlif_jax.training import augment

Preprocess = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # (key, inputs, labels)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to training images; nothing by default. All but `auto_augment` and `erasing` take floats, too.

    Attributes:
      crop_padding: images are shifted by up to this many pixels (random crop with padding).
      flip: images are mirrored with probability ½.
      auto_augment: images go through AutoAugment's policy for CIFAR-10.
      cutout: side of the square of each image that is set to the mean.
      roll: images are rolled by up to this many pixels.
      rotation: images are rotated by up to this many degrees.
      mixup: α of Mixup; 0 leaves it out.
      cutmix: α of CutMix; 0 leaves it out.
      switch_probability: of CutMix instead of Mixup, where both are used.
      resized_crop: a box of 8 to 100 % of each image is enlarged to its size (random resized crop), before all else.
      erasing: probability that a box of 2 to 40 % of an image is set to one random grey (random erasing).

    Raises:
      ValueError: a value out of range.
    """

    crop_padding: Amount = 0
    flip: bool = False
    auto_augment: bool = False
    cutout: Amount = 0
    roll: Amount = 0
    rotation: NotNegative = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    switch_probability: Probability = 0.5
    resized_crop: bool = False
    erasing: Probability = 0.0

    def __post_init__(self) -> None:
        check_fields(self)

    def move(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """The geometry, of `[B, H, W, C]`."""
        crop_key, flip_key, roll_key, rotation_key = jax.random.split(key, 4)
        if self.resized_crop:
            images = augment.random_resized_crop(jax.random.fold_in(key, 4), images)
        if self.crop_padding:
            images = augment.random_crop(crop_key, images, self.crop_padding)
        if self.flip:
            images = augment.random_horizontal_flip(flip_key, images)
        if self.roll:
            images = augment.random_roll(roll_key, images, self.roll)
        if self.rotation:
            images = augment.random_rotation(rotation_key, images, self.rotation)
        return images


@check_arguments
def make_preprocess(
    mean: tuple[float, ...],
    std: tuple[Positive, ...],
    num_classes: Count,
    *,
    augmentation: Augmentation = Augmentation(),
    encoding: Encoding | None = None,
) -> Preprocess:
    """Builds `(key, inputs, labels) -> (batch, targets)`: what a training batch goes through.

    In the order of torchvision's and timm's recipes: geometry, colour and erasing on inputs as they are, normalisation,
    Cutout (a hole is then the mean), mixing. A recording moves as one. At an edge zeros come in: black of uint8.

    Args:
      mean: per channel: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.
      num_classes: K.
      augmentation: what happens to the images.
      encoding: makes a sequence of static inputs, whose values it wants in [0, 1] unless it reads normalised ones.

    Returns:
      A function of uint8 or float `[B, H, W, C]` or `[B, T, H, W, C]` and labels `[B]`. It returns float32
      `[B, H, W, C]` or, time-major, `[T, B, H, W, C]`, and the labels or, where images are mixed, distributions
      `[B, K]`.
    """
    values = _values(mean, std, encoding)

    def preprocess(key: jax.Array, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        move_key, color_key, cutout_key, mix_key = jax.random.split(key, 4)
        inputs = as_images(lambda images: augmentation.move(move_key, images), inputs)
        if augmentation.auto_augment:
            inputs = augment.auto_augment(color_key, inputs)
        if augmentation.erasing:
            erasing_key = jax.random.fold_in(key, 5)
            inputs = as_images(lambda images: augment.random_erasing(erasing_key, images, augmentation.erasing), inputs)
        batch = values(inputs)
        if augmentation.cutout:
            batch = as_images(lambda images: augment.cutout(cutout_key, images, augmentation.cutout), batch)
        targets = labels
        if augmentation.mixup or augmentation.cutmix:
            batch, targets = augment.mix(
                mix_key,
                batch,
                one_hot(labels, num_classes, batch.dtype),
                mixup_alpha=augmentation.mixup,
                cutmix_alpha=augmentation.cutmix,
                switch_probability=augmentation.switch_probability,
            )
        return (time_major(batch) if encoding is None else encoding(jax.random.fold_in(key, 4), batch)), targets

    return preprocess


@check_arguments
def make_normalize(
    mean: tuple[float, ...], std: tuple[Positive, ...], encoding: Encoding | None = None
) -> Callable[[jax.Array], jax.Array]:
    """Builds what inputs go through in evaluation: uint8 or float `[B, ...]` or `[B, T, ...]` to a network's input.

    Args:
      mean: per channel: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.
      encoding: as in training; draws the same for every batch.
    """
    values = _values(mean, std, encoding)
    if encoding is None:
        return lambda inputs: time_major(values(inputs))
    return lambda inputs: encoding(jax.random.key(0), values(inputs))


def _values(
    mean: tuple[float, ...], std: tuple[Positive, ...], encoding: Encoding | None
) -> Callable[[jax.Array], jax.Array]:
    """What a network, or the encoding before it, reads of inputs: normalised values or intensities."""
    if encoding is None or reads_normalized(encoding):
        return lambda inputs: normalize(inputs, mean, std)
    return intensities


def no_preprocess(key: jax.Array, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inputs as they come."""
    return inputs, labels


def time_major(batch: jax.Array) -> jax.Array:
    """`[B, T, H, W, C]` to `[T, B, H, W, C]`; images stay."""
    return jnp.moveaxis(batch, 1, 0) if batch.ndim == 5 else batch


def as_images(function: Callable[[jax.Array], jax.Array], inputs: jax.Array) -> jax.Array:
    """Applies a function of `[B, H, W, C]` to `[B, T, H, W, C]` with T in the channels; images pass directly."""
    if inputs.ndim == 4:
        return function(inputs)
    batch, steps, height, width, channels = inputs.shape
    images = jnp.moveaxis(inputs, 1, 3).reshape(batch, height, width, steps * channels)
    moved = function(images).reshape(batch, height, width, steps, channels)
    return jnp.moveaxis(moved, 3, 1)
