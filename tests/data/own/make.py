"""Own data, made by the tests."""

import numpy as np
from PIL import Image

CLASSES = ("bars", "rings", "spots")


def picture(generator, label, shape=(28, 40)):
    """A grey picture of one of three kinds, `[H, W]` uint8."""
    pixels = generator.integers(0, 60, shape, dtype=np.uint8)
    if label == 0:
        pixels[:, generator.integers(0, 8) :: 8] = 220
    elif label == 1:
        pixels[generator.integers(0, 8) :: 8] = 220
    else:
        top, left = (generator.integers(0, side // 2) for side in shape)
        pixels[top : top + shape[0] // 2, left : left + shape[1] // 2] = 220
    return pixels


def write_folder(folder, number=10, shape=(28, 40), classes=CLASSES, seed=0, colour=False):
    """Writes `number` pictures of each class; returns them, `[N, H, W]` or `[N, H, W, 3]`, in their order."""
    generator, pictures = np.random.default_rng(seed), []
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(number):
            pixels = picture(generator, label % 3, shape)
            if colour:
                pixels = np.stack([pixels, 255 - pixels, pixels], -1)
            Image.fromarray(pixels).save(folder / name / f"{index:03d}.png")
            pictures.append(pixels)
    return np.stack(pictures)


def frames(number=30, num_steps=3, shape=(12, 10), seed=0):
    """Event frames `[N, T, H, W, 2]` uint8 and labels `[N]`: where most events are."""
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    inputs = generator.poisson(0.1, (number, num_steps, *shape, 2)).astype(np.uint8)
    for one, label in zip(inputs, labels, strict=True):
        one[:, 4 * label : 4 * label + 4, :, 0] += 3
    return inputs, labels
