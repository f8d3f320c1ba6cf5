"""Your own arrays as a dataset holds them: what is accepted, in which layout, and statistics."""

from typing import Any

import numpy as np

CHANNELS = 4  # the most that a last axis is taken for without being told
AT_ONCE = 1024  # examples of which statistics are taken at a time, in double precision


def as_inputs(images: Any, layout: str | None, where: str) -> np.ndarray:
    """Images or frames as `[N, H, W, C]` or `[N, T, H, W, C]`, uint8 or float32, without loss.

    - uint8 stays, other integers between 0 and 255 become uint8, True becomes 255.
    - Floats become float32 and stay in their own unit.

    Args:
      images: an array, or what becomes one.
      layout: what each axis is, in letters: N examples, T time-steps, H height, W width, C channels, such as "NCHW";
        one channel where C is missing. None is "NHW", "NHWC" or "NTHWC", by the number of axes.
      where: for messages.

    Raises:
      ValueError: another layout, other numbers than these, or such that are not finite.
    """
    array = _as_array(images, where)
    if layout is None:
        layout = {3: "NHW", 4: "NHWC", 5: "NTHWC"}.get(array.ndim, "")
        if not layout:
            raise ValueError(
                f"{where}: inputs are of shape {array.shape}; expected images [N, H, W] or [N, H, W, C], or frames "
                "[N, T, H, W, C]; vectors and other inputs are trained on with training.start"
            )
        if layout[-1] == "C" and array.shape[-1] > CHANNELS:
            raise ValueError(
                f"{where}: inputs are of shape {array.shape}, whose last axis is too long for channels; say what the "
                f"axes are: layout={'NCHW' if array.ndim == 4 else 'NTCHW'!r} for channels first, {layout!r} if they "
                f"are channels{', ' + repr('NTHW') + ' for frames of one channel' if array.ndim == 4 else ''}"
            )
    given = set(layout)
    if len(given) != len(layout) or not set("NHW") <= given <= set("NTHWC"):
        raise ValueError(
            f"layout={layout!r} must name each axis once: N examples, H height, W width, and T time-steps and C "
            "channels where there are such, as in 'NCHW'"
        )
    if array.ndim != len(layout):
        raise ValueError(f"{where}: inputs are of shape {array.shape}; layout={layout!r} names {len(layout)} axes")
    ordered = array.transpose([layout.index(axis) for axis in "NTHWC" if axis in given])
    if "C" not in given:
        ordered = ordered[..., None]
    return np.ascontiguousarray(_as_levels_or_floats(ordered, where))


def _as_array(values: Any, where: str) -> np.ndarray:
    if np.ma.isMaskedArray(values):
        raise ValueError(f"{where}: a masked array; say what stands in the masked places: images.filled(value)")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{where}: inputs of several shapes; bring all examples to one ({error})") from error


def _as_levels_or_floats(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind in "iu":
        if array.size and (array.min() < 0 or array.max() > 255):
            raise ValueError(
                f"{where}: inputs are {array.dtype} from {array.min()} to {array.max()}; expected integers between 0 "
                "and 255, or floats in any unit: images.astype(np.float32)"
            )
        return array.astype(np.uint8)
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        return array.astype(np.float32, copy=False)
    raise ValueError(f"{where}: inputs are {array.dtype}; expected integers between 0 and 255, or floats")


def as_labels(labels: Any, where: str) -> np.ndarray:
    """Labels `[N]` int32, of any integer type; `[N, 1]` counts as well.

    Raises:
      ValueError: anything else; says how class names and one-hot codes become labels.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "US":
        way = "class_names, labels = np.unique(labels, return_inverse=True)"
    elif array.ndim == 2:
        way = "of a one-hot code, labels.argmax(-1)"
    elif array.dtype.kind not in "iu" or array.ndim != 1:
        way = "labels.astype(np.int32), if they are whole numbers"
    else:
        outside = np.flatnonzero((array < 0) | (array > np.iinfo(np.int32).max))
        if outside.size:
            raise ValueError(f"{where}: label {array[outside[0]]} of example {outside[0]} is no class; they begin at 0")
        return array.astype(np.int32)
    raise ValueError(f"{where}: labels are {array.dtype} of shape {array.shape}; expected integers [N]: {way}")


def statistics(inputs: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel: of uint8 in [0, 1], of floats in their own unit.

    A channel of one value has the standard deviation 1, so that normalising it gives zeros.

    Args:
      inputs: `[N, ..., C]`.
    """
    channels = inputs.shape[-1]
    unit = 255 if inputs.dtype == np.uint8 else 1
    flat = inputs.reshape(len(inputs), -1, channels)
    count = max(flat.shape[0] * flat.shape[1], 1)
    parts = range(0, len(flat), AT_ONCE)
    total = sum((flat[at : at + AT_ONCE].sum((0, 1), np.float64) for at in parts), np.zeros(channels))
    mean = total / count
    squares = sum((np.square(flat[at : at + AT_ONCE] - mean).sum((0, 1)) for at in parts), np.zeros(channels))
    std = np.sqrt(squares / count) / unit
    return tuple(map(float, mean / unit)), tuple(float(value) if value > 0 else 1.0 for value in std)
