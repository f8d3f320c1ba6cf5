"""AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019), with torchvision's magnitudes.

An image gets one of 25 pairs of operations. Under `vmap` a branch costs as much as all of them, so every operation is
written as an affine map, a blend and a lookup table, in that order, of which it leaves two at the identity. All
magnitudes are known beforehand: they are rows of constant tables.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.training.augment import color
from hdlif_jax.training.augment.geometry import affine, fixed_point

BINS = 10
POLICY = (
    (("Invert", 0.1, None), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, None), ("Equalize", 0.9, None)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, None), ("Equalize", 0.5, None)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, None), ("AutoContrast", 0.4, None)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, None)),
    (("Equalize", 0.2, None), ("AutoContrast", 0.6, None)),
    (("Equalize", 0.2, None), ("Equalize", 0.6, None)),
    (("Color", 0.9, 9), ("Equalize", 0.6, None)),
    (("AutoContrast", 0.8, None), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, None)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, None), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, None), ("Invert", 0.1, None)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, None)),
)
SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
DEGENERATE = {"Brightness": "black", "Contrast": "gray-mean", "Color": "gray", "Sharpness": "smooth"}
DEGENERATE_KINDS = ("black", "gray-mean", "gray", "smooth")
TABLE_KINDS = ("fixed", "AutoContrast", "Equalize")


class Operation(NamedTuple):
    """An operation with its magnitude and, where it has one, its sign.

    Attributes:
      name: torchvision's.
      magnitude: index of the magnitude, 0…9; None for operations without.
      sign: 1 or −1.
    """

    name: str
    magnitude: int | None = None
    sign: int = 1


IDENTITY = Operation("Identity")


class Tables(NamedTuple):
    """Operations as rows of constants, `[O, ...]`: see the module's docstring."""

    coefficients: np.ndarray
    degenerate: np.ndarray
    products: np.ndarray
    table_kind: np.ndarray
    table: np.ndarray


def magnitude(operation: Operation, height: int, width: int) -> float:
    """Torchvision's magnitude, signed, of an operation on images of H×W pixels."""
    if operation.magnitude is None:
        return 0.0
    step = operation.magnitude / (BINS - 1)
    ranges = {
        "ShearX": 0.3 * step,
        "ShearY": 0.3 * step,
        "TranslateX": 150 / 331 * width * step,
        "TranslateY": 150 / 331 * height * step,
        "Rotate": 30 * step,
        "Brightness": 0.9 * step,
        "Color": 0.9 * step,
        "Contrast": 0.9 * step,
        "Sharpness": 0.9 * step,
        "Posterize": 8 - round(operation.magnitude / ((BINS - 1) / 4)),
        "Solarize": 255 * (1 - step),
    }
    return operation.sign * float(np.float32(ranges[operation.name]))  # torchvision computes them in float32


def tables(operations: tuple[Operation, ...], height: int, width: int) -> Tables:
    """The constants of operations on images of H×W pixels.

    Raises:
      ValueError: an unknown operation.
    """
    rows = [_row(operation, height, width) for operation in operations]
    return Tables(*(np.stack(column) for column in zip(*rows, strict=True)))


def apply_operations(images: jax.Array, constants: Tables, chosen: jax.Array) -> jax.Array:
    """Applies to each image one of the operations.

    Args:
      images: `[B, H, W, C]` uint8, C = 1 or 3.
      constants: of the operations.
      chosen: `[B]` int32, rows of `constants`.
    """
    own = jax.tree.map(lambda column: jnp.asarray(column)[chosen], constants)
    images = affine(images, own.coefficients)
    kinds = own.degenerate[:, None, None, None]
    degenerate = jnp.where(kinds == 1, color.gray_mean(images), 0)
    degenerate = jnp.where(kinds == 2, color.gray(images), degenerate)
    degenerate = jnp.where(kinds == 3, color.smooth(images), degenerate)
    blended = color.blend(images, degenerate, own.products)  # the identity: black with factor 1
    fixed = jnp.broadcast_to(own.table[:, None, :], (len(images), images.shape[-1], color.LEVELS))
    made = own.table_kind[:, None, None]
    lookup = jnp.where(made == 1, color.autocontrast_tables(blended), fixed)
    lookup = jnp.where(made == 2, color.equalize_tables(blended), lookup)
    return color.look_up(blended, lookup)


def auto_augment(key: jax.Array, images: jax.Array) -> jax.Array:
    """The policy for CIFAR-10: torchvision's `AutoAugment(AutoAugmentPolicy.CIFAR10)`, nearest pixel, zeros outside.

    Args:
      key: draws each image's pair, whether its operations happen, and their signs.
      images: `[B, H, W, C]` uint8, C = 1 or 3.

    Raises:
      ValueError: other images.
    """
    if images.dtype != jnp.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"auto_augment works on uint8 levels of images [B, H, W, 1 or 3], and these are {images.dtype} "
            f"{list(images.shape)}; give such (of floats in [0, 1]: np.round(255 * images).astype(np.uint8)), or leave "
            "auto_augment out"
        )
    pairs, happens, signs = draw(key, len(images))
    operations, first = _policy_operations()
    constants = tables(operations, *images.shape[1:3])
    for stage in range(2):
        row = jnp.asarray(first)[pairs, stage, signs[:, stage]]
        images = apply_operations(images, constants, jnp.where(happens[:, stage], row, 0))
    return images


def draw(key: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What is random: pairs `[B]` in 0…24, whether each operation happens `[B, 2]`, signs `[B, 2]` (0: negative)."""
    pair_key, happens_key, sign_key = jax.random.split(key, 3)
    pairs = jax.random.randint(pair_key, (batch_size,), 0, len(POLICY), jnp.int32)
    probabilities = jnp.asarray([[operation[1] for operation in pair] for pair in POLICY], jnp.float32)
    happens = jax.random.uniform(happens_key, (batch_size, 2), jnp.float32) < probabilities[pairs]
    return pairs, happens, jax.random.bernoulli(sign_key, jnp.float32(0.5), (batch_size, 2)).astype(jnp.int32)


@functools.cache
def _policy_operations() -> tuple[tuple[Operation, ...], np.ndarray]:
    """All operations of the policy, the identity first, and their rows by pair, stage and sign, `[25, 2, 2]`."""
    operations = [IDENTITY]
    rows = np.zeros((len(POLICY), 2, 2), np.int32)
    for pair, stages in enumerate(POLICY):
        for stage, (name, _, index) in enumerate(stages):
            for positive in (0, 1):
                sign = -1 if name in SIGNED and not positive else 1
                operation = Operation(name, index, sign)
                if operation not in operations:
                    operations.append(operation)
                rows[pair, stage, positive] = operations.index(operation)
    return tuple(operations), rows


def _row(operation: Operation, height: int, width: int) -> tuple[Any, ...]:
    name, size = operation.name, magnitude(operation, height, width)
    matrix = np.array([1, 0, 0, 0, 1, 0], np.float64)
    degenerate, factor, kind, table = "black", 1.0, "fixed", np.arange(color.LEVELS, dtype=np.uint8)
    if name == "ShearX":
        matrix[1] = math.tan(math.radians(math.degrees(math.atan(size))))
    elif name == "ShearY":
        matrix[3] = math.tan(math.radians(math.degrees(math.atan(size))))
    elif name == "TranslateX":
        matrix[2] = -int(size)
    elif name == "TranslateY":
        matrix[5] = -int(size)
    elif name == "Rotate":
        cosine, sine = math.cos(math.radians(size)), math.sin(math.radians(size))
        matrix[:] = cosine, -sine, 0, sine, cosine, 0
        matrix[2] = width / 2 - (cosine * width - sine * height) / 2
        matrix[5] = height / 2 - (sine * width + cosine * height) / 2
    elif name in DEGENERATE:
        degenerate, factor = DEGENERATE[name], 1 + size
    elif name == "Posterize":
        table = color.posterize_table(int(size))
    elif name == "Solarize":
        table = color.solarize_table(size)
    elif name == "Invert":
        table = color.solarize_table(0)
    elif name in TABLE_KINDS:
        kind = name
    elif name != "Identity":
        raise ValueError(f"operation {name!r} is unknown; choose one of those of torchvision's AutoAugment")
    return (
        fixed_point(matrix),
        np.int32(DEGENERATE_KINDS.index(degenerate)),
        color.blend_products(factor),
        np.int32(TABLE_KINDS.index(kind)),
        table,
    )
