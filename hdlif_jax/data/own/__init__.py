"""Your own data as datasets: folders of pictures, arrays in a file, and whatever tensorflow-datasets prepared."""

from hdlif_jax.data.own.folder import open_folder
from hdlif_jax.data.own.npz import open_npz
from hdlif_jax.data.own.tfds import open_tfds

__all__ = ["open_folder", "open_npz", "open_tfds"]
