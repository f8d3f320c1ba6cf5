"""What every dataset becomes: uint8 inputs and integer labels, split once and for all."""

import dataclasses
from typing import NamedTuple, Protocol

import numpy as np


class Split(NamedTuple):
    """Part of a dataset, in memory.

    Attributes:
      inputs: `[N, H, W, C]` images, or `[N, T, H, W, C]` event frames, uint8.
      labels: `[N]` int32.
    """

    inputs: np.ndarray
    labels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the inputs."""
        return self.inputs.shape

    def select(self, indices: np.ndarray) -> "Split":
        """The examples at these indices."""
        return Split(self.inputs[indices], self.labels[indices])

    def read(self, indices: np.ndarray, keys: np.ndarray | None = None) -> "Split":
        """The examples at these indices; `keys` are for sources that read at random."""
        del keys
        return self.select(indices)

    def load(self) -> "Split":
        """Itself: it is in memory."""
        return self


class Source(Protocol):
    """Examples in memory (`Split`) or on disk (`Records`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`[N, H, W, C]` or `[N, T, H, W, C]` of all inputs."""

    @property
    def labels(self) -> np.ndarray:
        """`[N]` int32."""

    def select(self, indices: np.ndarray) -> "Source":
        """The examples at these indices, as a source of their own."""

    def read(self, indices: np.ndarray, keys: np.ndarray | None = None) -> Split:
        """Examples at `[B]` indices; `[B, 2]` keys, where given, make what is random at reading."""

    def load(self) -> Split:
        """All examples in memory."""


def nbytes(source: Source) -> int:
    """Size of all inputs in memory."""
    return int(np.prod(source.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A labelled dataset with its own test set.

    Attributes:
      name: as in the command line.
      class_names: one per class; their number is the number of classes.
      train: what may be trained on; a validation split is cut from it by `hold_out`.
      test: looked at once.
      mean: per channel, of inputs in [0, 1].
      std: per channel, of inputs in [0, 1].

    Raises:
      ValueError: a split with other than uint8 images and int labels in range, or with lengths that differ.
    """

    name: str
    class_names: tuple[str, ...]
    train: Source
    test: Source
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for part, source in {"train": self.train, "test": self.test}.items():
            where = f"{self.name}, {part} split"
            if len(source.shape) not in (4, 5):
                raise ValueError(
                    f"{where}: inputs are of shape {source.shape}; "
                    "expected uint8 [N, H, W, C] images or [N, T, H, W, C] event frames"
                )
            if source.shape[-1] != len(self.mean):
                raise ValueError(
                    f"{where}: inputs have {source.shape[-1]} channels but mean and std have {len(self.mean)}"
                )
            if isinstance(source, Split):
                check_split(source, self.num_classes, where)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image or one frame."""
        height, width, channels = self.train.shape[-3:]
        return height, width, channels


def check_split(split: Split, num_classes: int, where: str) -> None:
    """Checks types and labels of examples in memory.

    Raises:
      ValueError: other than uint8 inputs and integer labels in range, one for each input.
    """
    inputs, labels = split
    if inputs.dtype != np.uint8:
        raise ValueError(f"{where}: inputs are {inputs.dtype} of shape {inputs.shape}; expected uint8")
    if labels.shape != inputs.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; expected integers {inputs.shape[:1]}"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ValueError(
            f"{where}: label {labels[outside[0]]} of example {outside[0]} is outside 0…{num_classes - 1}; "
            "correct the labels or name all classes"
        )


def hold_out(source: Source, fraction: float, seed: int = 0) -> tuple[Source, Source]:
    """Cuts a stratified part off a split: the same share of every class, the same examples at every call.

    Args:
      source: what to cut.
      fraction: share to hold out, in [0, 1).
      seed: chooses the examples.

    Returns:
      The rest and the held-out part.

    Raises:
      ValueError: `fraction` out of range.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction={fraction} must be in [0, 1): the share of the examples to hold out")
    if fraction == 0:
        return source, source.select(np.zeros(0, np.int64))  # without a look at the labels, which may be on disk
    generator = np.random.default_rng(seed)
    held = np.zeros(len(source.labels), bool)
    for label in np.unique(source.labels):
        members = generator.permutation(np.flatnonzero(source.labels == label))
        held[members[: round(fraction * len(members))]] = True
    return source.select(np.flatnonzero(~held)), source.select(np.flatnonzero(held))
