import hashlib
import pathlib

import numpy as np
import pytest

from hdlif_jax.data.datasets import fashion_mnist

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist_has_its_checksums_and_counts():
    seen = []

    def check(name, content, where):
        seen.append(hashlib.md5(content).hexdigest() == fashion_mnist.ENTRY.known[name])

    examples = fashion_mnist.ENTRY.open_originals(FASHION_MNIST, check)
    assert seen == [True] * 4
    labels = [unread.read()["label"] for unread in examples.splits["test"]()]
    assert np.bincount(labels).tolist() == [1000] * 10
