"""The weights that a run starts with: of another run, of a file of ours, or of a PyTorch network."""

import pathlib

from safetensors import SafetensorError, safe_open

from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.runs import load_run
from hdlif_jax.interop.torch import from_state_dict, read_state_dict
from hdlif_jax.interop.torch.files import PICKLED
from hdlif_jax.nn import SpikingNetwork, Variables, variables_of
from hdlif_jax.training import by_name, read_weights, transfer
from hdlif_jax.training.weights import Arrays

OURS = ("params.", "batch_stats.")  # what our names of arrays begin with


def starting_weights(model: SpikingNetwork, source: pathlib.Path) -> Variables:
    """What a network starts with that takes the layers that fit from a run or a file; says which do not.

    Raises:
      ValueError: weights of which no layer fits, or a file that is damaged.
      ImportError: a file of PyTorch's, which is not there.
    """
    arrays = by_name(load_run(source).variables) if source.is_dir() else arrays_of_ours(source)
    if arrays is None:
        # A float network may be the start of a quantised one: its kernels are what those are made of.
        theirs = read_state_dict(source)
        try:
            model, report = from_state_dict(model, theirs, latent=True, partial=True)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        console.print(f"starts with weights of {source}: {report}", markup=False)
        return variables_of(model)
    moved = transfer(arrays, model)
    console.print(f"{len(moved.taken)} of {len(moved.taken) + len(moved.left)} layers start with weights of {source}")
    for difference in moved.left.values():
        console.print(f"  starts anew: {difference}")
    for layer in moved.unused:
        console.print(f"  not used: {layer} of {source}")
    return moved.variables


def arrays_of_ours(source: pathlib.Path) -> Arrays | None:
    """The arrays of a file that `training.save_weights` wrote; None where it is a state_dict of PyTorch."""
    if source.suffix in PICKLED:
        return None
    try:
        with safe_open(source, "numpy") as file:
            names = list(file.keys())
    except SafetensorError:
        names = []  # read_weights says what is wrong with it
    return read_weights(source).arrays if all(name.startswith(OURS) for name in names) else None
