"""What a run goes through: the split of the training set, and how many steps that makes."""

from typing import Any, NamedTuple

from hdlif_jax import show
from hdlif_jax.checks import Count, NotNegative, Share, check_arguments
from hdlif_jax.data import Dataset, Source, hold_out, nbytes


class Plan(NamedTuple):
    """Data and length of a run.

    Attributes:
      dataset: what is trained on, with its test set.
      train: the training set without what is held out.
      validation: what is held out to watch the run by; may be empty.
      epochs: passes over the training set.
      batch_size: examples of an update.
      is_resident: whether the training set lives on the device.
    """

    dataset: Dataset
    train: Source
    validation: Source
    epochs: int
    batch_size: int
    is_resident: bool

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch without the last, incomplete one, whose examples another order shows next time."""
        return self.train.shape[0] // self.batch_size

    @property
    def total_steps(self) -> int:
        """Batches of the run."""
        return self.epochs * self.steps_per_epoch

    def __repr__(self) -> str:
        return show.line("Plan", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Plan", self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.name,
            "train": self.train.shape[0],
            "validation": self.validation.shape[0],
            "test": self.dataset.test.shape[0],
            "epochs": self.epochs,
            "batches": f"{self.steps_per_epoch:,} of {self.batch_size:,} an epoch",
            "resident": self.is_resident,
        }


@check_arguments
def plan(
    dataset: Dataset,
    *,
    epochs: Count,
    batch_size: Count,
    validation_fraction: Share = 0.1,
    resident: bool | None = None,
    resident_limit_gib: NotNegative = 4.0,
) -> Plan:
    """Plans a run.

    Args:
      dataset: what to train on.
      epochs: passes over the training set.
      batch_size: examples of an update.
      validation_fraction: share of the training set that is held out, the same examples at every call.
      resident: whether the training set lives on the device; None decides by size.
      resident_limit_gib: largest training set, in GiB, that None keeps on the device.

    Raises:
      ValueError: values out of range, or batches larger than the training set.
    """
    if resident is None:
        resident = nbytes(dataset.train) <= resident_limit_gib * 2**30
    train, validation = hold_out(dataset.train.load() if resident else dataset.train, validation_fraction)
    if train.shape[0] < batch_size:
        raise ValueError(
            f"batch_size={batch_size} is more than the {train.shape[0]} training examples; "
            f"choose batch_size ≤ {train.shape[0]}"
        )
    return Plan(dataset, train, validation, epochs, batch_size, resident)
