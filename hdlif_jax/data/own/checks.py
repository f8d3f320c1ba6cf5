"""What is asked of all own data."""

import numpy as np

from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.errors import DataError


def check_classes(dataset: Dataset) -> None:
    """Checks that there is something to tell apart, and that all of it can be learned.

    Raises:
      DataError: fewer than two classes, one without a training example, or a test example of no class.
    """
    if dataset.num_classes < 2:
        raise DataError(
            f"{dataset.name} has one class alone, {dataset.class_names[0]}; expected at least two to tell apart"
        )
    assert len(dataset.test.labels) == dataset.test.shape[0]  # read now, as a run's end is late to learn that they lack
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    if not counts.all():
        label = int(np.argmin(counts))
        raise DataError(
            f"{dataset.name}: class {dataset.class_names[label]} has no training example; give it some, or leave its "
            "name and its test examples out"
        )
