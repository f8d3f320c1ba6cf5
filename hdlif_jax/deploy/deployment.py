"""From a trained network to an artifact on disk, in one call."""

import pathlib
from typing import Any

from hdlif_jax import nn
from hdlif_jax.checks import check_arguments
from hdlif_jax.deploy.export import make_artifact, normalization
from hdlif_jax.deploy.fold import Folded, fold
from hdlif_jax.deploy.format.artifact import write
from hdlif_jax.deploy.format.manifest import InputKind, InputType


@check_arguments
def deploy(
    model: nn.SpikingNetwork,
    variables: nn.Variables | None,
    directory: pathlib.Path | str,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    input_kind: InputKind,
    class_names: tuple[str, ...],
    config: dict[str, Any] | None = None,
    input_type: InputType = "uint8",
) -> Folded:
    """Folds a network, exports it, and writes the artifact; `load` runs it.

    Args:
      model: any network whose modules have a fold rule.
      variables: its trained parameters and statistics; None for those of the model.
      directory: does not exist yet, or is an empty folder.
      mean: per channel, as the network was trained: of uint8 inputs in [0, 1], of floats in their own unit; for other
        inputs than normalised ones call `make_artifact` and `write`.
      std: per channel, likewise.
      input_kind: "image", shown at every step, or "sequence" of frames.
      class_names: one per class.
      config: of the run, for the reader.
      input_type: uint8 levels, or float32 in the unit of the training data.

    Returns:
      The folded network.

    Raises:
      TypeError: the network's own code computes something that cannot be folded, or a module has no rule.
      ValueError: a mix that has no folded form, a mean that is none of such inputs or not per channel, class names
        that do not fit, or a directory that holds something.
    """
    folded = fold(model, variables)
    channels = folded.graph.input_shape[-1]
    if not len(mean) == len(std) == channels:
        raise ValueError(f"mean={mean} and std={std} are not of {channels} channels; give a number of each per channel")
    made = make_artifact(
        folded,
        normalization(mean, std, input_type),
        input_kind=input_kind,
        class_names=class_names,
        config=config,
        input_type=input_type,
    )
    write(pathlib.Path(directory), made)
    return folded
