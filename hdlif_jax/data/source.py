"""Examples in memory or on disk, and what is checked of them."""

from typing import NamedTuple, Protocol

import numpy as np

from hdlif_jax import show
from hdlif_jax.checks import Count, Seed, Share, check_arguments

AT_ONCE = 1024  # examples that are looked through at a time


class Split(NamedTuple):
    """Part of a dataset, in memory.

    Attributes:
      inputs: `[N, H, W, C]` images, or `[N, T, H, W, C]` event frames: uint8 levels, or float32 in a unit of their own.
      labels: `[N]` int32.
    """

    inputs: np.ndarray
    labels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the inputs."""
        return self.inputs.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the inputs."""
        return self.inputs.dtype

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

    def __repr__(self) -> str:
        return f"Split(inputs: {show.array(self.inputs)}, labels: {show.array(self.labels)})"

    def _repr_html_(self) -> str:
        rows = [("inputs", show.array(self.inputs)), ("labels", show.array(self.labels))]
        return show.rows("Split", ("in memory", "type and shape"), rows)


class Source(Protocol):
    """Examples in memory (`Split`) or on disk (`Records`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`[N, H, W, C]` or `[N, T, H, W, C]` of all inputs."""

    @property
    def dtype(self) -> np.dtype:
        """Of the inputs, uint8 or float32."""

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
    return int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize


@check_arguments
def hold_out(source: Source, fraction: Share, seed: Seed = 0) -> tuple[Source, Source]:
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
    if fraction == 0:
        return source, source.select(np.zeros(0, np.int64))  # without a look at the labels, which may be on disk
    held = held_out(source.labels, fraction, seed)
    return source.select(np.flatnonzero(~held)), source.select(np.flatnonzero(held))


def held_out(labels: np.ndarray, fraction: float, seed: int = 0) -> np.ndarray:
    """Which examples `hold_out` holds out, `[N]` bool."""
    generator = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        held[members[: round(fraction * len(members))]] = True
    return held


@check_arguments
def stratified(source: Source, count: Count) -> Source:
    """A few examples that stand for all: each class has its share of them, to within one.

    They are evenly spread over the examples in the order of their classes, and within a class in the order in which
    they are stored; nothing is drawn, so they are the same at every call.

    Args:
      source: what to choose from.
      count: how many; all where there are no more.
    """
    size = source.shape[0]
    if count >= size:
        return source
    by_class = np.argsort(source.labels, kind="stable")
    return source.select(np.sort(by_class[(2 * np.arange(count) + 1) * size // (2 * count)]))


def check_arrays(split: Split, where: str) -> None:
    """Raises TypeError for examples that are no arrays."""
    for what, values in split._asdict().items():
        if not hasattr(values, "dtype") or not hasattr(values, "shape"):
            raise TypeError(
                f"{where}: {what} are a {type(values).__name__}; expected an array; Dataset.from_arrays takes lists"
            )


def check_split(split: Split, num_classes: int, where: str) -> None:
    """Checks types and labels of examples in memory.

    Raises:
      ValueError: other than uint8 or float32 inputs and integer labels in range, one for each input.
    """
    inputs, labels = split
    if inputs.dtype not in (np.uint8, np.float32):
        raise ValueError(
            f"{where}: inputs are {inputs.dtype} of shape {inputs.shape}; expected uint8 or float32: "
            "Dataset.from_arrays takes all floats, and integers between 0 and 255"
        )
    check_finite(inputs, where)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; expected integers {inputs.shape[:1]}"
        )
    check_lengths(split, where)
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ValueError(
            f"{where}: label {labels[outside[0]]} of example {outside[0]} is outside 0…{num_classes - 1}; "
            "correct the labels or name all classes"
        )


def check_lengths(split: Split, where: str) -> None:
    """Raises ValueError for another number of labels than of inputs."""
    if len(split.labels) != len(split.inputs):
        raise ValueError(
            f"{where}: {len(split.labels)} labels for {len(split.inputs)} inputs; expected integers "
            f"{split.inputs.shape[:1]}, one for each"
        )


def check_finite(inputs: np.ndarray, where: str) -> None:
    """Raises ValueError for an input that is not finite."""
    if inputs.dtype == np.uint8:
        return
    for start in range(0, len(inputs), AT_ONCE):
        part = inputs[start : start + AT_ONCE]
        good = np.isfinite(part).reshape(len(part), -1).all(1)
        if not good.all():
            index = start + int(np.argmin(good))
            raise ValueError(f"{where}: example {index} holds what is not finite (NaN or infinity); correct the inputs")
