import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from hdlif_jax.training import augment
from hdlif_jax.training.augment import color, policy
from hdlif_jax.training.augment.policy import Operation

SIZE = (20, 24)
GENERATOR = np.random.default_rng(0)
NOISE = GENERATOR.integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
WALK = GENERATOR.normal(0, 20, (8, *SIZE, 3)).cumsum(1).cumsum(2) / 6 + 120
SMOOTH = np.clip(WALK, 0, 255).astype(np.uint8)  # with flat parts and narrow histograms
IMAGES = np.concatenate([NOISE, SMOOTH, np.full((1, *SIZE, 3), 77, np.uint8)])

PIL = {
    "Identity": lambda image, size: image,
    "ShearX": lambda image, size: image.transform(image.size, Image.Transform.AFFINE, (1, size, 0, 0, 1, 0)),
    "ShearY": lambda image, size: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, size, 1, 0)),
    "TranslateX": lambda image, size: image.transform(image.size, Image.Transform.AFFINE, (1, 0, -int(size), 0, 1, 0)),
    "TranslateY": lambda image, size: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, -int(size))),
    "Rotate": lambda image, size: image.rotate(size),
    "Brightness": lambda image, size: ImageEnhance.Brightness(image).enhance(1 + size),
    "Color": lambda image, size: ImageEnhance.Color(image).enhance(1 + size),
    "Contrast": lambda image, size: ImageEnhance.Contrast(image).enhance(1 + size),
    "Sharpness": lambda image, size: ImageEnhance.Sharpness(image).enhance(1 + size),
    "Posterize": lambda image, size: ImageOps.posterize(image, int(size)),
    "Solarize": lambda image, size: ImageOps.solarize(image, size),
    "AutoContrast": lambda image, size: ImageOps.autocontrast(image),
    "Equalize": lambda image, size: ImageOps.equalize(image),
    "Invert": lambda image, size: ImageOps.invert(image),
}
OPERATIONS = tuple(
    Operation(name, index, sign)
    for name in PIL
    for index in ((None,) if name in ("Identity", "AutoContrast", "Equalize", "Invert") else range(10))
    for sign in ((1, -1) if name in policy.SIGNED else (1,))
)
DRAW = jax.jit(policy.draw, static_argnums=1)


@pytest.fixture(scope="module")
def apply():
    """Applies the operation of a row to all images."""
    constants = policy.tables(OPERATIONS, *SIZE)
    jitted = jax.jit(lambda images, chosen: policy.apply_operations(images, constants, chosen))
    return lambda images, row: np.asarray(jitted(images, np.full(len(images), row, np.int32)))


@pytest.mark.parametrize("name", PIL)
def test_every_magnitude_of_an_operation_equals_pil(apply, name):
    for row, operation in enumerate(OPERATIONS):
        if operation.name != name:
            continue
        size = policy.magnitude(operation, *SIZE)
        expected = np.stack([np.asarray(PIL[name](Image.fromarray(image), size)) for image in IMAGES])
        result = apply(IMAGES, row)
        if name == "AutoContrast":
            short = result.astype(int) - expected  # PIL's double precision: see the docstring of the tables
            assert set(np.unique(short)) <= {0, 1}
            assert short.mean() < 0.01
        else:
            np.testing.assert_array_equal(result, expected, err_msg=str(operation))


def test_autocontrast_is_the_exact_quotient():
    tables = np.asarray(color.autocontrast_tables(IMAGES))
    low, high = (f(IMAGES, axis=(1, 2)).astype(int)[..., None] for f in (np.min, np.max))
    levels = np.arange(256)
    exact = np.clip((levels - low) * 255 // np.maximum(high - low, 1), 0, 255)
    np.testing.assert_array_equal(tables, np.where(high > low, exact, levels))


def test_magnitudes_are_torchvisions():
    def largest(name, index=9):
        return policy.magnitude(Operation(name, index), 32, 32)

    assert largest("ShearX") == pytest.approx(0.3)
    assert largest("TranslateX") == pytest.approx(150 / 331 * 32)
    assert largest("Rotate", 2) == pytest.approx(30 * 2 / 9)
    assert [policy.magnitude(Operation("Posterize", index), 32, 32) for index in range(10)] == [
        8, 8, 7, 7, 6, 6, 5, 5, 4, 4,
    ]  # fmt: skip
    assert largest("Solarize", 2) == pytest.approx(255 * 7 / 9)
    assert policy.magnitude(Operation("Color", 3, -1), 32, 32) == pytest.approx(-0.3)


def test_gray_images_are_augmented_too(apply):
    row = OPERATIONS.index(Operation("Equalize"))
    gray = IMAGES[..., :1]
    expected = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(image[..., 0]))) for image in gray])
    np.testing.assert_array_equal(apply(gray, row)[..., 0], expected)


def test_draws_have_the_policys_distribution(key):
    pairs, happens, signs = (np.asarray(values) for values in DRAW(key, 25 * 800))
    counts = np.bincount(pairs, minlength=25)
    assert np.all(np.abs(counts - 800) < 5 * math.sqrt(800))
    assert abs(signs.mean() - 0.5) < 5 * 0.5 / math.sqrt(signs.size)
    for pair, stages in enumerate(policy.POLICY):
        for stage, (_, probability, _) in enumerate(stages):
            deviation = math.sqrt(probability * (1 - probability) / counts[pair])
            assert abs(happens[pairs == pair, stage].mean() - probability) <= 5 * deviation + 1e-9


def test_the_policy_applies_what_was_drawn(key):
    images = np.tile(NOISE[:4], (30, 1, 1, 1))
    result = np.asarray(jax.jit(augment.auto_augment)(key, jnp.asarray(images)))
    pairs, happens, signs = (np.asarray(values) for values in DRAW(key, len(images)))
    for index, image in enumerate(images):
        expected = Image.fromarray(image)
        names = []
        for stage, (name, _, magnitude) in enumerate(policy.POLICY[pairs[index]]):
            if happens[index, stage]:
                sign = -1 if name in policy.SIGNED and signs[index, stage] == 0 else 1
                expected = PIL[name](expected, policy.magnitude(Operation(name, magnitude, sign), *SIZE))
                names.append(name)
        if "AutoContrast" not in names:
            np.testing.assert_array_equal(result[index], np.asarray(expected), err_msg=str(names))
    assert happens.any(1).sum() > 60


def test_unknown_operations_are_refused():
    with pytest.raises(ValueError, match="operation 'Cutout' is unknown"):
        policy.tables((Operation("Cutout"),), 8, 8)
