"""scikit-learn's handwritten digits: 1,797 images of 8×8 pixels, shipped in the package, no download."""

import numpy as np
from sklearn.datasets import load_digits

from hdlif_jax.data.dataset import Dataset, Split, hold_out

TEST_FRACTION = 0.2


def digits() -> Dataset:
    """The digits with a fixed, stratified 20 % as test set; pixels 0…16 are spread over 0…255."""
    bunch = load_digits()
    inputs = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    train, test = (part.load() for part in hold_out(Split(inputs, bunch.target.astype(np.int32)), TEST_FRACTION))
    scaled = train.inputs / 255
    return Dataset(
        name="digits",
        class_names=tuple(str(name) for name in bunch.target_names),
        train=train,
        test=test,
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
    )
