"""Reads datasets prepared by tensorflow-datasets, here or elsewhere, without TensorFlow."""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hdlif_jax import show
from hdlif_jax.data import catalog
from hdlif_jax.data.crops import center_crop, random_resized_crop_box, resized_crop
from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.entry import IMAGE_SIZE
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.events import Events
from hdlif_jax.data.extras import needed
from hdlif_jax.data.formats.archives import folders_in
from hdlif_jax.data.formats.hidden import is_hidden
from hdlif_jax.data.formats.images import decode_image
from hdlif_jax.data.frames import Slicing, integrate
from hdlif_jax.data.originals import PreparedEntry
from hdlif_jax.data.prepare import FILE_FORMAT, prepared_path
from hdlif_jax.data.recordings import recording_of
from hdlif_jax.data.source import Split

READ_AT_ONCE = 1024

Stored = dict[str, Any]  # an example as it lies in a record
Decode = Callable[[Stored, np.ndarray | None, str], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Records:
    """A split on disk, read example by example in any order. It can be sent to other processes.

    Attributes:
      directory: of the prepared dataset.
      split: its name there.
      example_shape: `[H, W, C]` or `[T, H, W, C]`.
      num_classes: K.
      decode: `(stored example, key or None, where) -> uint8 [example_shape]`.
      indices: `[N]` the records that belong to it, int64.
      keys: names of the features that are the image, where it is of images, and the label.
    """

    directory: pathlib.Path
    split: str
    example_shape: tuple[int, ...]
    num_classes: int
    decode: Decode
    indices: np.ndarray
    keys: tuple[str, str] = ("image", "label")

    @property
    def shape(self) -> tuple[int, ...]:
        """`[N, ...]` of all inputs."""
        return len(self.indices), *self.example_shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the inputs."""
        return np.dtype(np.uint8)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """`[N]` int32; read once from all records and then kept beside them, where that folder can be written to.

        Raises:
          DataError: a label out of range.
        """
        path = self.directory / f"{self.split}.labels.npy"
        number = len(self._source)
        labels = _kept_labels(path, number)
        if labels is None:
            labels = np.array([self._parse(raw)["label"] for raw in self._source], np.int32)
            with contextlib.suppress(OSError):  # a shared, read-only folder: they are read again next time
                _keep_labels(path, labels)
        outside = np.flatnonzero((labels < 0) | (labels >= self.num_classes))
        if outside.size:
            where = f"{self.directory}, {self.split} record {outside[0]}"
            raise DataError(f"{where}: label {labels[outside[0]]} is outside 0…{self.num_classes - 1}")
        chosen: np.ndarray = labels[self.indices]
        return chosen

    def select(self, indices: np.ndarray) -> "Records":
        """The examples at these indices, as a source of their own."""
        return dataclasses.replace(self, indices=self.indices[indices])

    def read(self, indices: np.ndarray, keys: np.ndarray | None = None) -> Split:
        """Reads and decodes examples.

        Args:
          indices: `[B]`.
          keys: `[B, 2]` integers that make the random crop of each image; the central crop without.

        Raises:
          DataError: a record that cannot be read, does not decode, or has a label out of range.
        """
        numbers = [int(number) for number in self.indices[indices]]
        inputs = np.empty((len(numbers), *self.example_shape), np.uint8)
        labels = np.empty(len(numbers), np.int32)
        try:
            stored = [self._parse(raw) for raw in self._source.__getitems__(numbers)] if numbers else []
        except Exception as error:  # array_record and protobuf raise their own
            raise DataError(
                f"{self.directory}, {self.split} split: records {numbers[0]}… cannot be read ({error}); "
                "delete the folder and prepare the dataset again"
            ) from error
        for row, (number, example) in enumerate(zip(numbers, stored, strict=True)):
            where = f"{self.directory}, {self.split} record {number}"
            inputs[row] = self.decode(example, None if keys is None else keys[row], where)
            labels[row] = example["label"]
            if not 0 <= labels[row] < self.num_classes:
                raise DataError(f"{where}: label {labels[row]} is outside 0…{self.num_classes - 1}")
        return Split(inputs, labels)

    def load(self) -> Split:
        """All examples in memory."""
        pieces = [
            self.read(np.arange(start, min(start + READ_AT_ONCE, len(self.indices))))
            for start in range(0, len(self.indices), READ_AT_ONCE)
        ]
        if not pieces:
            return Split(np.zeros((0, *self.example_shape), np.uint8), np.zeros(0, np.int32))
        return Split(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))

    @functools.cached_property
    def _source(self) -> Any:
        tfds = needed("tensorflow_datasets")
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        return _builder(self.directory).as_data_source(self.split, deserialize_method=raw)

    @functools.cached_property
    def _parse(self) -> Callable[[bytes], dict[str, Any]]:
        features = _builder(self.directory).info.features
        is_image = self.keys[0] in features
        return functools.partial(_parse_image, keys=self.keys) if is_image else features.deserialize_example_np

    def __repr__(self) -> str:
        kind = f"{show.image(self.example_shape)} {self.dtype}"
        return f"Records({len(self.indices)} examples of {kind}, {self.num_classes} classes, {self._where})"

    def _repr_html_(self) -> str:
        cells = len(self.indices), show.image(self.example_shape), self.dtype, self.num_classes
        return show.rows(self._where, ("examples", "input", "type", "classes"), [cells])

    @property
    def _where(self) -> str:
        return f"{self.split} split of {self.directory}"

    def __getstate__(self) -> dict[str, Any]:
        # Open files stay in their process.
        return {field.name: self.__dict__[field.name] for field in dataclasses.fields(self)}


def open_prepared(
    name: str,
    directory: pathlib.Path | str,
    *,
    num_steps: int,
    slicing: Slicing = "equal-count",
    frame_size: int | None = None,
    image_size: int = IMAGE_SIZE,
) -> Dataset:
    """Opens a prepared dataset of the catalogue.

    Args:
      name: of the catalogue.
      directory: the data directory, which holds `<name>/<version>`.
      num_steps: T, into which recordings are integrated.
      slicing: of recordings into frames.
      frame_size: height and width of event frames; the dataset's usual one by default.
      image_size: height and width that images of varying size are cut to.

    Raises:
      DataError: it is not there, or not in array_record files; says what to do.
      ValueError: `num_steps` < 1, frames larger than the sensor, or a size below 1.
    """
    entry = catalog.prepared_entry(name)
    if num_steps < 1:
        raise ValueError(f"num_steps={num_steps} must be at least 1")
    spec = entry.input_spec(frame_size, image_size)
    path = _find(entry, pathlib.Path(directory))
    info = info_of(path)
    shape: tuple[int, ...] = (num_steps, *spec.shape) if spec.is_sequence else spec.shape
    height, width, _ = entry.shape
    decode: Decode
    if spec.is_sequence and height is not None and width is not None:
        sensor, size = (height, width), spec.shape[:2]
        decode = functools.partial(_frames, sensor=sensor, num_steps=num_steps, slicing=slicing, size=size)
    else:
        decode = image_decoder(entry.shape, image_size)
    labels = info.features["label"]
    hidden = [name for name in labels.names if is_hidden(name)]
    if hidden:
        raise DataError(
            f"{path} has the folder {hidden[0]!r}, which a system made, as class {labels.names.index(hidden[0])}: an "
            "earlier version took it for one; delete the folder and prepare the dataset again"
        )
    sources = {}
    for part in {"train", entry.test}:
        if part not in info.splits:
            raise DataError(f"{path} has no split {part!r}, only {', '.join(info.splits)}; prepare it again")
        number = info.splits[part].num_examples
        sources[part] = Records(path, part, shape, labels.num_classes, decode, np.arange(number))
    return Dataset(name, tuple(labels.names), sources["train"], sources[entry.test], entry.mean, entry.std)


def _kept_labels(path: pathlib.Path, number: int) -> np.ndarray | None:
    """The labels in a file; None where there is none of that many labels, or only a part of one."""
    try:
        labels: np.ndarray = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return labels if labels.dtype == np.int32 and labels.shape == (number,) else None


def _keep_labels(path: pathlib.Path, labels: np.ndarray) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")  # several processes may do this at once
    with part.open("wb") as file:
        np.save(file, labels)
    os.replace(part, path)


def _find(entry: PreparedEntry, directory: pathlib.Path) -> pathlib.Path:
    """The prepared folder: of the catalogue's version, or else of the newest there is."""
    path = prepared_path(entry, directory)
    if path.is_dir():
        return path
    folders = folders_in(path.parent) if path.parent.is_dir() else ()
    others = [folder for folder in folders if (folder / "dataset_info.json").exists()]
    if others:
        return others[-1]
    raise DataError(
        f"{entry.name} is not in {directory} (no {path}); get {entry.what_to_get()}; then run "
        f"hdlif prepare-data {entry.name} --from FOLDER_WITH_THESE_FILES --to {directory}"
    )


def info_of(path: pathlib.Path) -> Any:
    """What tensorflow-datasets knows of a prepared dataset.

    Raises:
      DataError: it is none, or not in array_record files.
    """
    info = _builder(path).info
    if str(info.file_format.value) != FILE_FORMAT:
        raise DataError(
            f"{path} is stored as {info.file_format.value}; prepare it again with file_format={FILE_FORMAT!r}, "
            "which is read without TensorFlow"
        )
    return info


@functools.cache
def _builder(path: pathlib.Path) -> Any:
    tfds = needed("tensorflow_datasets")
    try:
        return tfds.builder_from_directory(str(path))
    except Exception as error:  # tfds raises whatever its parsers stumbled over
        raise DataError(
            f"{path} is not a dataset prepared by tensorflow-datasets ({error}); delete it and prepare it again"
        ) from error


def _parse_image(raw: bytes, keys: tuple[str, str]) -> dict[str, Any]:
    """The two features that are needed of an image's record: twice as fast as all of them."""
    proto = needed("tensorflow_datasets.proto").tf_example_pb2
    feature = proto.Example.FromString(raw).features.feature
    image, label = keys
    return {"image": feature[image].bytes_list.value[0], "label": feature[label].int64_list.value[0]}


def image_decoder(shape: tuple[int | None, int | None, int], size: int) -> Decode:
    """What decodes images of a shape, of which None varies from image to image: those are cut to `size`."""
    height, width, channels = shape
    if height is None or width is None:
        return functools.partial(_cropped_image, size=size, channels=channels)
    return functools.partial(_image, shape=(height, width, channels))


def _image(example: Stored, key: np.ndarray | None, where: str, *, shape: tuple[int, int, int]) -> np.ndarray:
    del key
    return decode_image(example["image"], where, shape[:2], shape[-1])


def _cropped_image(example: Stored, key: np.ndarray | None, where: str, *, size: int, channels: int) -> np.ndarray:
    pixels = decode_image(example["image"], where, channels=channels)
    if key is None:
        return center_crop(pixels, size)
    generator = np.random.Generator(np.random.Philox(key=[int(part) for part in key]))
    return resized_crop(pixels, random_resized_crop_box(pixels.shape[0], pixels.shape[1], generator), size)


def _frames(
    example: Stored,
    key: np.ndarray | None,
    where: str,
    *,
    sensor: tuple[int, int],
    num_steps: int,
    slicing: Slicing,
    size: tuple[int, int],
) -> np.ndarray:
    del key
    events = Events(example["t"], example["x"], example["y"], example["p"])
    return integrate(recording_of(events, sensor, where), num_steps, slicing=slicing, size=size)
