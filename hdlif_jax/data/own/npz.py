"""Your own arrays in a .npz file."""

import dataclasses
import pathlib

import numpy as np

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.data.arrays import CHANNELS
from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats.npz import names_in, read_npz
from hdlif_jax.data.info import DatasetInfo
from hdlif_jax.data.own.checks import check_classes

WHOLE = ("inputs", "labels")
PARTS = ("x_train", "y_train", "x_test", "y_test")  # as Keras names them
NAMES = "class_names"  # may be there besides


@check_arguments
def open_npz(path: pathlib.Path | str, *, num_steps: Count, info: DatasetInfo | None = None) -> Dataset:
    """The dataset in a .npz file.

    It holds `inputs` and `labels`, of which a fifth of each class is held out as the test set, or `x_train`, `y_train`,
    `x_test` and `y_test`; and `class_names`, if they have others than their numbers. Inputs are images `[N, H, W]` or
    `[N, H, W, C]`, or frames `[N, T, H, W, C]`: integers 0…255, or floats in a unit of their own.

    Args:
      path: of the file.
      num_steps: T of the network, which frames must have.
      info: of a run that began with this data, whose statistics it keeps.

    Raises:
      DataError: the file or its arrays cannot be this; says what was expected.
      ValueError: as `Dataset.from_arrays`.
    """
    path = pathlib.Path(path)
    keys = names_in(path)
    needed = PARTS if any(key in keys for key in PARTS) else WHOLE
    missing = [key for key in needed if key not in keys]
    if missing:
        raise DataError(
            f"{path} has no array {missing[0]!r}, only {', '.join(keys) or 'nothing'}; expected the arrays "
            f"{', '.join(WHOLE)}, or {', '.join(PARTS)}: np.savez(file, inputs=..., labels=...)"
        )
    arrays = read_npz(path, [*needed, *(key for key in (NAMES,) if key in keys)])
    for key in needed[::2]:
        check_inputs(arrays[key], num_steps, f"{path}, {key}")
    names = arrays.get(NAMES)
    if names is not None and (names.ndim != 1 or names.dtype.kind not in "US"):
        raise DataError(f"{path}, {NAMES}: {names.dtype} of shape {names.shape}; expected a text for each class [K]")
    dataset = Dataset.from_arrays(
        *(arrays[key] for key in needed[:2]),
        test_images=arrays.get("x_test"),
        test_labels=arrays.get("y_test"),
        class_names=None if names is None else [str(name) for name in names.astype(str)],
        name=str(path),
        layout={3: "NHW", 4: "NHWC", 5: "NTHWC"}[arrays[needed[0]].ndim],
    )
    check_classes(dataset)
    dataset = dataclasses.replace(dataset, name=path.name)
    return dataset if info is None else info.applied_to(dataset)


def check_inputs(inputs: np.ndarray, num_steps: Count, where: str) -> None:
    """Checks the axes of images or frames.

    Raises:
      DataError: other axes, or other frames than the network has time-steps.
    """
    if inputs.ndim not in (3, 4, 5):
        raise DataError(
            f"{where}: shape {inputs.shape}; expected images [N, H, W] or [N, H, W, C], or frames [N, T, H, W, C]"
        )
    if 0 in inputs.shape:
        raise DataError(f"{where}: shape {inputs.shape} holds nothing; expected at least one example")
    if inputs.ndim >= 4 and inputs.shape[-1] > CHANNELS and inputs.shape[-1] >= min(inputs.shape[-3:-1]):
        raise DataError(
            f"{where}: shape {inputs.shape} has no channels in its last axis; put them there, "
            f"np.moveaxis(inputs, -3, -1){', or of frames of one channel inputs[..., None]' * (inputs.ndim == 4)}"
        )
    if inputs.ndim == 5 and inputs.shape[1] != num_steps:
        raise DataError(
            f"{where}: {inputs.shape[1]} frames an input, shape {inputs.shape}, for a network of {num_steps} "
            f"time-steps; a frame is a time-step: --model.num-steps {inputs.shape[1]}"
        )
