import numpy as np

from hdlif_jax.data import open_prepared, prepare
from tests.data import originals


def test_both_cifar_layouts_give_the_same_records(tmp_path, generator):
    images, labels, records = originals.cifar_records(generator, 4, (10,))
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    pickled = originals.cifar_pickle(images, labels=labels[:, 0])
    members = {f"cifar-10-batches-py/{name}": pickled for name in names}
    (tmp_path / "python.tar.gz").write_bytes(originals.tar(members, "w:gz"))
    binary = originals.folder(tmp_path / "binary")
    for name in names:
        (binary / f"{name}.bin").write_bytes(records)
    for source in ("python.tar.gz", "binary"):
        prepare("cifar10", tmp_path / source, tmp_path / f"out-{source}", partial=True)
        dataset = open_prepared("cifar10", tmp_path / f"out-{source}", num_steps=4)
        np.testing.assert_array_equal(dataset.train.load().inputs, np.concatenate([images] * 5))
        np.testing.assert_array_equal(dataset.test.load().labels, labels[:, 0])
