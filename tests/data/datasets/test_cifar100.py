import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data import open_prepared, prepare
from tests.data import originals

DATA_DIR = os.environ.get("HDLIF_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA_DIR, reason="HDLIF_DATA_DIR does not name a folder with real data")


def test_cifar100_python_layout(tmp_path, generator):
    images, labels, _ = originals.cifar_records(generator, 3, (20, 100))
    content = originals.cifar_pickle(images, coarse_labels=labels[:, 0], fine_labels=labels[:, 1])
    meta = pickle.dumps(
        {"coarse_label_names": [f"c{i}" for i in range(20)], "fine_label_names": [f"f{i}" for i in range(100)]}
    )
    for name, data_ in {"train": content, "test": content, "meta": meta}.items():
        (originals.folder(tmp_path / "in") / name).write_bytes(data_)
    prepare("cifar100", tmp_path / "in", tmp_path, partial=True)
    np.testing.assert_array_equal(open_prepared("cifar100", tmp_path, num_steps=1).train.load().inputs, images)


@needs_data
@pytest.mark.slow
def test_real_cifar100_is_prepared_byte_for_byte(tmp_path):
    folder = pathlib.Path(DATA_DIR) / "cifar100"
    files = {file.name: file for part in ("a", "b") for file in (folder / part).iterdir()}
    records = {}
    for split, sheets in {"train": 100, "test": 20}.items():
        labels = np.fromfile(files[f"{split}_labels.u8"], np.uint8).reshape(-1, 2)
        pixels = np.concatenate(
            [np.asarray(Image.open(files[f"{split}_{number:03d}.webp"]).convert("RGB")) for number in range(sheets)]
        )
        planes = pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2).reshape(len(labels), -1)
        records[split] = np.concatenate([labels, planes], 1)
        (tmp_path / f"{split}.bin").write_bytes(records[split].tobytes())
    for name in ("fine_label_names.txt", "coarse_label_names.txt"):
        (tmp_path / name).write_bytes(files[name].read_bytes())
    prepare("cifar100", tmp_path, tmp_path)  # with the official checksums and counts
    dataset = open_prepared("cifar100", tmp_path, num_steps=4)
    for source, expected in zip((dataset.train, dataset.test), records.values(), strict=True):
        inputs, fine = source.load()
        np.testing.assert_array_equal(inputs.transpose(0, 3, 1, 2).reshape(len(fine), -1), expected[:, 2:])
        np.testing.assert_array_equal(fine, expected[:, 1])
        scaled = inputs / 255
        if len(fine) == 50000:
            np.testing.assert_allclose(scaled.mean((0, 1, 2)), dataset.mean, atol=1e-4)
            np.testing.assert_allclose(scaled.std((0, 1, 2)), dataset.std, atol=1e-4)
