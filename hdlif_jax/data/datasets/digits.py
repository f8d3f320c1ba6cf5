"""scikit-learn's handwritten digits: 1,797 images of 8×8 pixels, shipped in the package, no download."""

import numpy as np

from hdlif_jax.data.dataset import Dataset
from hdlif_jax.data.entry import InstalledEntry
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.source import Split, hold_out

TEST_FRACTION = 0.2


def digits() -> Dataset:
    """The digits with a fixed, stratified 20 % as test set; pixels 0…16 are spread over 0…255.

    Raises:
      DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # not needed, and slow to import, for any other dataset
    except ImportError as error:
        raise DataError(
            f"digits come with scikit-learn, which is not there ({error}): python -m pip install 'hdlif_jax[data]'"
        ) from error
    bunch = load_digits()
    inputs = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    train, test = (part.load() for part in hold_out(Split(inputs, bunch.target.astype(np.int32)), TEST_FRACTION))
    scaled = train.inputs / 255
    return Dataset(
        name=ENTRY.name,
        class_names=tuple(str(name) for name in bunch.target_names),
        train=train,
        test=test,
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
    )


ENTRY = InstalledEntry(
    name="digits",
    title="scikit-learn's digits",
    kind="images",
    shape=(8, 8, 1),
    num_classes=10,
    load=digits,
)
