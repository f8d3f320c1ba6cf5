"""MNIST: handwritten digits, 28×28 pixels, grey."""

import functools

from hdlif_jax.data.datasets.mnist_layout import originals, read_idx
from hdlif_jax.data.datasets.reading import DIGIT_NAMES
from hdlif_jax.data.originals import PreparedEntry

URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"

ENTRY = PreparedEntry(
    name="mnist",
    title="MNIST",
    kind="images",
    shape=(28, 28, 1),
    num_classes=10,
    prepared_name="mnist",
    version="3.0.1",
    counts={"train": 60000, "test": 10000},
    test="test",
    mean=(0.1307,),
    std=(0.3081,),
    originals=originals(URL),
    known={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    reader=functools.partial(read_idx, class_names=DIGIT_NAMES),
)
