"""scikit-learn's handwritten digits: 1,797 images of 8×8 pixels, shipped in the package, no download."""

import importlib.util
import pathlib

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
    pixels, labels = _read()
    inputs = np.round(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    train, test = (part.load() for part in hold_out(Split(inputs, labels.astype(np.int32)), TEST_FRACTION))
    scaled = train.inputs / 255
    return Dataset(
        name=ENTRY.name,
        class_names=tuple(map(str, range(10))),
        train=train,
        test=test,
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
    )


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Pixels `[1797, 64]` and labels, of scikit-learn's file by itself: to import the package takes a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise _missing("no module named sklearn")
    file = pathlib.Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        table = np.loadtxt(file, delimiter=",")
        return table[:, :-1], table[:, -1]
    try:
        from sklearn.datasets import load_digits  # a version that keeps them elsewhere
    except ImportError as error:
        raise _missing(str(error)) from error
    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels


def _missing(reason: str) -> DataError:
    return DataError(
        f"digits come with scikit-learn, which is not there ({reason}): python -m pip install 'hdlif_jax[data]'"
    )


ENTRY = InstalledEntry(
    name="digits",
    title="scikit-learn's digits",
    kind="images",
    shape=(8, 8, 1),
    num_classes=10,
    load=digits,
)
