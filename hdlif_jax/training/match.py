"""Whether a network and a dataset belong together: asked before anything is compiled."""

from collections.abc import Callable

import jax
import numpy as np

from hdlif_jax import nn
from hdlif_jax.data import Dataset
from hdlif_jax.encodings import Encoding, reads_normalized


def check_match(dataset: Dataset, model: nn.SpikingNetwork, normalize: Callable[[jax.Array], jax.Array]) -> None:
    """Checks that a network reads the inputs of a dataset and has an output for each of its classes.

    Args:
      dataset: what it is to learn.
      model: the network.
      normalize: what inputs go through in evaluation.

    Raises:
      ValueError: inputs of another shape or number of time-steps than the network's, or more classes.
    """
    if dataset.num_classes > model.num_classes:
        raise ValueError(
            f"{dataset.name} has {dataset.num_classes} classes and the network {model.num_classes} outputs; make it "
            f"with num_classes={dataset.num_classes}"
        )
    example = dataset.train.shape[1:]
    reached = jax.eval_shape(normalize, jax.ShapeDtypeStruct((1, *example), dataset.train.dtype)).shape
    expected = 1, *model.input_shape
    if reached not in (expected, (model.num_steps, *expected)):
        raise ValueError(
            f"a batch of one input of {dataset.name} reaches the network as {list(reached)}, which reads "
            f"{list(expected)} or {model.num_steps} time-steps of it, {[model.num_steps, *expected]}; make the network "
            "with the input_shape and num_steps of the data"
        )


def check_intensities(dataset: Dataset, encoding: Encoding | None) -> None:
    """Checks that an encoding that reads intensities gets such.

    Raises:
      ValueError: floats outside [0, 1].
    """
    if encoding is None or reads_normalized(encoding):
        return
    for part, source in {"train": dataset.train, "test": dataset.test}.items():
        if source.dtype == np.uint8:
            continue
        inputs = source.load().inputs
        lowest, highest = inputs.min(), inputs.max()
        if lowest < 0 or highest > 1:
            raise ValueError(
                f"{dataset.name}, {part} split: inputs are floats from {lowest:g} to {highest:g}, and an encoding "
                "reads intensities in [0, 1]; scale them, or leave the encoding out"
            )
