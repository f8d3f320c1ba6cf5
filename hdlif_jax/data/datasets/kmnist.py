"""KMNIST: cursive Japanese characters in the layout of MNIST, 28×28 pixels, grey."""

import functools

from hdlif_jax.data.datasets.mnist_layout import originals, read_idx
from hdlif_jax.data.originals import PreparedEntry

URL = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
CLASS_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

ENTRY = PreparedEntry(
    name="kmnist",
    title="KMNIST",
    kind="images",
    shape=(28, 28, 1),
    num_classes=10,
    prepared_name="kmnist",
    version="3.0.1",
    counts={"train": 60000, "test": 10000},
    test="test",
    mean=(0.1918,),
    std=(0.3483,),
    originals=originals(URL),
    reader=functools.partial(read_idx, class_names=CLASS_NAMES),
)
