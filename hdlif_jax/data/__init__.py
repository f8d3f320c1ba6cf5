"""Datasets as numpy arrays; nothing here touches a device."""

from hdlif_jax.data.catalog import CATALOG
from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.datasets.digits import digits
from hdlif_jax.data.entry import IMAGE_SIZE, Entry, InputSpec, InstalledEntry
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.frames import frames_of
from hdlif_jax.data.info import DatasetInfo
from hdlif_jax.data.opening import open_dataset
from hdlif_jax.data.order import batch_indices
from hdlif_jax.data.originals import PreparedEntry
from hdlif_jax.data.own import open_folder, open_npz, open_tfds
from hdlif_jax.data.pictures import Pictures, pictures_in
from hdlif_jax.data.prepare import download, prepare, problems
from hdlif_jax.data.records import open_prepared
from hdlif_jax.data.source import Source, Split, hold_out, nbytes, stratified
from hdlif_jax.data.stream import BatchReader, stream

__all__ = [
    "CATALOG",
    "IMAGE_SIZE",
    "BatchReader",
    "DataError",
    "Dataset",
    "DatasetInfo",
    "Entry",
    "InputSpec",
    "InstalledEntry",
    "Pictures",
    "PreparedEntry",
    "Source",
    "Split",
    "batch_indices",
    "digits",
    "download",
    "frames_of",
    "hold_out",
    "nbytes",
    "open_dataset",
    "open_folder",
    "open_npz",
    "open_prepared",
    "open_tfds",
    "pictures_in",
    "prepare",
    "problems",
    "stratified",
    "stream",
]
