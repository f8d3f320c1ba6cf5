"""Inputs as pictures that a page holds in itself."""

import base64
import io

import numpy as np
from PIL import Image

ON, OFF = (230, 159, 0), (86, 180, 233)  # of two polarities, on black; apart in grey, too


def as_uris(inputs: np.ndarray) -> list[list[str]]:
    """Data URIs of PNGs of each input: one of an image, one for each frame of a sequence.

    Args:
      inputs: `[E, H, W, C]` or `[E, T, H, W, C]`; uint8 images of one or three channels are shown as they are, others
        between their least and their largest value.
    """
    is_sequence = inputs.ndim == 5
    as_it_is = inputs.dtype == np.uint8 and not is_sequence and inputs.shape[-1] in (1, 3)
    values = inputs.astype(np.float64)
    if not as_it_is and len(values):
        low, high = values.min(), values.max()
        values = 255 * (values - low) / (high - low if high > low else 1.0)
    return [[_uri(frame) for frame in (one if is_sequence else [one])] for one in values]


def _uri(frame: np.ndarray) -> str:
    """A picture of `[H, W, C]`, of values from 0 to 255."""
    channels = frame.shape[-1]
    if channels == 2:
        mixed = frame[..., :1] / 255 * np.array(ON) + frame[..., 1:] / 255 * np.array(OFF)
        frame = np.minimum(mixed, 255)
    elif channels not in (1, 3):
        frame = frame.mean(-1, keepdims=True)
    pixels = np.round(frame).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
