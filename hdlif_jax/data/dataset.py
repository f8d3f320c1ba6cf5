"""What every dataset becomes: inputs and integer labels, split once and for all."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hdlif_jax import show
from hdlif_jax.checks import Seed, Share, check_arguments
from hdlif_jax.data.arrays import as_inputs, as_labels, statistics
from hdlif_jax.data.source import Source, Split, check_arrays, check_finite, check_lengths, check_split, hold_out

TEST_FRACTION = 0.2  # of arrays that come without a test set


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset:
    """A labelled dataset with its own test set.

    Attributes:
      name: as in the command line.
      class_names: one per class; their number is the number of classes.
      train: what may be trained on; a validation split is cut from it by `hold_out`.
      test: looked at once.
      mean: per channel: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.

    Raises:
      ValueError: a part without examples, with other than uint8 or float32 inputs or integer labels in range, or with
        lengths that differ; parts of two shapes or types; statistics that do not fit.
    """

    name: str
    class_names: tuple[str, ...]
    train: Source
    test: Source
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        check_names(self.class_names, self.name)
        for part, source in {"train": self.train, "test": self.test}.items():
            where = f"{self.name}, {part} split"
            if isinstance(source, Split):
                check_arrays(source, where)
            elif not all(hasattr(type(source), needed) for needed in ("shape", "dtype", "labels", "read")):
                raise TypeError(
                    f"{where}: {type(source).__name__} is no Split of arrays and no Records of files; "
                    "Dataset.from_arrays takes whatever becomes arrays"
                )
            if len(source.shape) not in (4, 5):
                raise ValueError(
                    f"{where}: inputs are of shape {source.shape}; expected [N, H, W, C] images or [N, T, H, W, C] "
                    "frames; Dataset.from_arrays takes other layouts, too"
                )
            if isinstance(source, Split):
                check_split(source, self.num_classes, where)
            if not source.shape[0]:
                raise ValueError(f"{where} has no examples")
        train, test = (f"{source.dtype} of shape {source.shape[1:]}" for source in (self.train, self.test))
        if train != test:
            raise ValueError(
                f"{self.name}: an example is {train} in the train split and {test} in the test split; "
                "a network reads one kind of input: bring both to the same"
            )
        channels = self.train.shape[-1]
        if not np.shape(self.mean) == np.shape(self.std) == (channels,):
            raise ValueError(
                f"{self.name}: inputs have {channels} channels but mean={self.mean} and std={self.std}; give a number "
                "of each per channel"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or not all(value > 0 for value in self.std):
            raise ValueError(f"{self.name}: mean={self.mean}, std={self.std} must be finite, and std above 0")

    @classmethod
    @check_arguments
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        *,
        test_images: Any = None,
        test_labels: Any = None,
        test_fraction: Share | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
        layout: str | None = None,
        seed: Seed = 0,
    ) -> "Dataset":
        """A dataset of your own arrays, with the statistics of its training images.

        Integers between 0 and 255 are held as uint8 levels, which networks see in [0, 1] before they are normalised.
        Floats are held as float32 in their own unit, whatever it is: nothing is rounded or clipped. AutoAugment
        reads levels, so give integers where you have them. `pictures_in` and `frames_of` make arrays of picture files
        and of event recordings.

        Args:
          images: `[N, H, W]`, `[N, H, W, C]`, frames `[N, T, H, W, C]`, or as `layout` says.
          labels: `[N]` integers from 0.
          test_images: the test set, in the same layout.
          test_labels: its labels.
          test_fraction: share of each class to hold out as the test set, where there is none; 0.2 by default.
          class_names: one per class; the numbers 0…max(labels) by default.
          name: of the dataset.
          layout: what each axis is: N examples, T time-steps, H height, W width, C channels, such as "NCHW".
          seed: chooses the examples that are held out.

        Raises:
          ValueError: arrays that cannot be this, with what was expected and how to get it.

        Examples:
          >>> import numpy as np
          >>> Dataset.from_arrays(np.zeros((10, 1, 8, 8)), np.arange(10) % 2, layout="NCHW")
          Dataset('arrays': 2 classes, 8×8×1 float32, 8 train and 2 test examples)
        """
        train = Split(as_inputs(images, layout, f"{name}, images"), as_labels(labels, f"{name}, labels"))
        check_lengths(train, f"{name}, images")
        check_finite(train.inputs, f"{name}, images")  # before statistics are taken, and examples are moved
        if (test_images is None) != (test_labels is None):
            raise ValueError(f"{name}: test_images and test_labels belong together; give both, or a test_fraction")
        if test_images is None:
            fraction = TEST_FRACTION if test_fraction is None else test_fraction
            train, test = (part.load() for part in hold_out(train, fraction, seed))
            if not len(test.labels):
                raise ValueError(
                    f"{name}: test_fraction={fraction} of each class is no example; give a larger share, or test_images"
                )
        elif test_fraction is not None:
            raise ValueError(f"{name}: test_images and test_fraction={test_fraction} are two test sets; give one")
        else:
            inputs = as_inputs(test_images, layout, f"{name}, test_images")
            test = Split(inputs, as_labels(test_labels, f"{name}, test_labels"))
        if class_names is None:
            used = np.union1d(train.labels, test.labels)
            missing = np.setdiff1d(np.arange(used.max(initial=0)), used)
            if missing.size:
                raise ValueError(
                    f"{name}: labels go up to {used.max()} and none is {missing[0]}; classes are numbered from 0 "
                    "without a gap (np.unique(labels, return_inverse=True)[1]), or give class_names of all"
                )
            class_names = tuple(str(label) for label in range(int(used.max(initial=0)) + 1))
        check_names(class_names, name)
        return cls(name, tuple(map(str, class_names)), train, test, *statistics(train.inputs))

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image or one frame."""
        height, width, channels = self.train.shape[-3:]
        return height, width, channels

    @property
    def facts(self) -> str:
        """What it holds, in a line."""
        numbers = f"{self.train.shape[0]} train and {self.test.shape[0]} test examples"
        return f"{self.num_classes} classes, {show.image(self.train.shape[1:])} {self.train.dtype}, {numbers}"

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {self.facts})"

    def _repr_html_(self) -> str:
        rows = [
            (part, source.shape[0], show.image(source.shape[1:]), source.dtype, type(source).__name__)
            for part, source in {"train": self.train, "test": self.test}.items()
        ]
        note = f"classes {show.names(self.class_names)}"
        return show.rows(self.name, ("split", "examples", "input", "type", "held as"), rows, note)


def check_names(class_names: Sequence[str], where: str) -> None:
    """Raises ValueError for what is no sequence of different names."""
    if isinstance(class_names, str) or not len(class_names):
        raise ValueError(f"{where}: class_names are {class_names!r}; expected a sequence with a name per class")
    names = sorted(class_names)
    twice = [name for name, other in itertools.pairwise(names) if name == other]
    if twice:
        raise ValueError(f"{where}: class_names name {twice[0]!r} twice; expected a different one per class")
