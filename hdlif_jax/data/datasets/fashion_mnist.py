"""Fashion-MNIST: articles of clothing in the layout of MNIST, 28×28 pixels, grey."""

import functools

from hdlif_jax.data.datasets.mnist_layout import originals, read_idx
from hdlif_jax.data.originals import PreparedEntry

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

ENTRY = PreparedEntry(
    name="fashion-mnist",
    title="Fashion-MNIST",
    kind="images",
    shape=(28, 28, 1),
    num_classes=10,
    prepared_name="fashion_mnist",
    version="3.0.1",
    counts={"train": 60000, "test": 10000},
    test="test",
    mean=(0.2860,),
    std=(0.3530,),
    originals=originals(URL),
    note="Debian's package dataset-fashion-mnist has them in /usr/share/datasets/fashion-mnist",
    known={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    reader=functools.partial(read_idx, class_names=CLASS_NAMES),
)
