"""What a run keeps of its data, so that it is read back where the data is no longer there."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hdlif_jax import show
from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.entry import InputSpec
from hdlif_jax.data.errors import DataError

DTYPES = ("uint8", "float32")


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """A dataset without its examples.

    Attributes:
      example_shape: (H, W, C) of an image, or (T, H, W, C) of frames.
      dtype: of the inputs, "uint8" or "float32".
      class_names: one per class.
      mean: per channel of the training split: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.
      num_train: examples that were there to train on.
      num_test: examples of the test split.
    """

    example_shape: tuple[int, ...]
    dtype: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_train: int
    num_test: int

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetInfo":
        """That of a dataset."""
        return cls(
            tuple(map(int, dataset.train.shape[1:])),
            str(dataset.train.dtype),
            tuple(dataset.class_names),
            tuple(map(float, dataset.mean)),
            tuple(map(float, dataset.std)),
            int(dataset.train.shape[0]),
            int(dataset.test.shape[0]),
        )

    @property
    def spec(self) -> InputSpec:
        """What a network reads of it."""
        height, width, channels = self.example_shape[-3:]
        return InputSpec((height, width, channels), len(self.class_names), len(self.example_shape) == 4)

    def applied_to(self, dataset: Dataset) -> Dataset:
        """A dataset with these statistics, such as one that has moved or grown since a network was trained on it.

        Raises:
          DataError: its inputs or classes are others.
        """
        own = DatasetInfo.of(dataset)
        for what, had, has in (
            ("inputs", self._kind, own._kind),
            ("classes", self.class_names, own.class_names),
        ):
            if had != has:
                had, has = (names if isinstance(names, str) else show.names(names) for names in (had, has))
                raise DataError(
                    f"{dataset.name} has the {what} {has} and the run was trained on {had}; give the data that it was "
                    "trained on, or data like it"
                )
        return dataclasses.replace(dataset, mean=self.mean, std=self.std)

    def check_same(self, dataset: Dataset) -> None:
        """Checks that a run can go on with a dataset as if it had never stopped.

        Raises:
          DataError: the dataset has more or fewer examples.
        """
        had, has = (self.num_train, self.num_test), (dataset.train.shape[0], dataset.test.shape[0])
        if had != has:
            raise DataError(
                f"{dataset.name} has {has[0]} train and {has[1]} test examples and had {had[0]} and {had[1]} when the "
                "run began; restore them to go on with the run, or begin another one"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, strings and numbers, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "DatasetInfo":
        """The inverse of `to_dict`.

        Raises:
          ValueError: values that it does not write.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise ValueError(f"the dataset's entry is {values!r}; expected the fields {', '.join(names)}")
        listed = ("example_shape", "class_names", "mean", "std")
        if not all(isinstance(values[name], (list, tuple)) for name in listed):
            raise ValueError(f"the dataset's entry is {values!r}; {', '.join(listed)} must be lists")
        info = cls(**(dict(values) | {name: tuple(values[name]) for name in listed}))
        if (
            len(info.example_shape) not in (3, 4)
            or not all(type(side) is int and side >= 1 for side in info.example_shape)
            or info.dtype not in DTYPES
            or not info.class_names
            or not all(isinstance(name, str) for name in info.class_names)
            or not len(info.mean) == len(info.std) == info.example_shape[-1]
            or not all(type(value) is float and np.isfinite(value) for value in (*info.mean, *info.std))
            or not all(value > 0 for value in info.std)
            or not all(type(number) is int and number >= 1 for number in (info.num_train, info.num_test))
        ):
            raise ValueError(f"the dataset's entry is {values!r}, which is none of a dataset; restore it")
        return info

    @property
    def _kind(self) -> str:
        return f"{show.image(self.example_shape)} {self.dtype}"
