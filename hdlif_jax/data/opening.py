"""Opens any dataset of the catalogue by its name."""

import pathlib

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.data import catalog
from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.entry import IMAGE_SIZE, InstalledEntry
from hdlif_jax.data.frames import Slicing
from hdlif_jax.data.records import open_prepared


@check_arguments
def open_dataset(
    name: str,
    directory: pathlib.Path | str,
    *,
    num_steps: Count,
    slicing: Slicing = "equal-count",
    frame_size: Count | None = None,
    image_size: Count = IMAGE_SIZE,
) -> Dataset:
    """Opens a dataset, prepared or not; its inputs are as `Entry.input_spec` says for the same sizes.

    Args:
      name: name of the dataset in the catalogue.
      directory: the data directory, which holds `<name>/<version>`; what comes with a package needs none.
      num_steps: T, into which recordings are integrated.
      slicing: what the frames of a recording have in common.
      frame_size: height and width of event frames; the dataset's usual one by default.
      image_size: height and width that images of varying size are cut to.

    Raises:
      DataError: there is no such dataset, or it is not prepared; says which files to get and what to run.
      ValueError: `num_steps` < 1, frames larger than the sensor, or a size below 1.
    """
    entry = catalog.entry(name)
    if isinstance(entry, InstalledEntry):
        return entry.load()
    return open_prepared(
        name, directory, num_steps=num_steps, slicing=slicing, frame_size=frame_size, image_size=image_size
    )
