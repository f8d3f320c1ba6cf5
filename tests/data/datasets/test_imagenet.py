import numpy as np

from hdlif_jax.data import open_prepared, prepare
from tests.data import originals


def imagenet_archives(directory, generator):
    jpegs = [originals.jpeg(generator, (60, 80)) for _ in range(4)]
    dtype = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    synsets = np.array([(1, "n02", 0), (2, "n01", 0), (3, "n00", 2)], dtype=dtype)
    (directory / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(
        originals.tar(
            {
                "ILSVRC2012_devkit_t12/data/meta.mat": originals.mat(synsets=synsets),
                "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": b"2\n1\n",
            },
            "w:gz",
        )
    )
    (directory / "ILSVRC2012_img_train.tar").write_bytes(
        originals.tar(
            {"n01.tar": originals.tar({"n01_1.JPEG": jpegs[0]}), "n02.tar": originals.tar({"n02_1.JPEG": jpegs[1]})}
        )
    )
    (directory / "ILSVRC2012_img_val.tar").write_bytes(
        originals.tar({"ILSVRC2012_val_00000001.JPEG": jpegs[2], "ILSVRC2012_val_00000002.JPEG": jpegs[3]})
    )


def test_imagenet_from_the_official_archives_and_from_folders(tmp_path, generator):
    imagenet_archives(originals.folder(tmp_path / "tars"), generator)
    prepare("imagenet", tmp_path / "tars", tmp_path / "a", partial=True)
    dataset = open_prepared("imagenet", tmp_path / "a", num_steps=4, image_size=32)
    assert dataset.class_names == ("n01", "n02")
    assert dataset.train.load().labels.tolist() == [0, 1]
    assert dataset.test.load().labels.tolist() == [0, 1]  # number 2 is n01, number 1 is n02
    indices = np.array([0, 0, 1])
    first, second = (dataset.train.read(indices, np.array([[0, 1], [0, 2], [0, 3]])).inputs for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (3, 32, 32, 3)
    assert np.any(first[0] != first[1])  # another key is another crop
    for part, names in {"train": ("n01", "n02"), "val": ("n01", "n02")}.items():
        for name in names:
            path = originals.folder(tmp_path / "folders" / part / name)
            (path / f"{part}_{name}.JPEG").write_bytes(originals.jpeg(generator, (50, 50)))
    prepare("imagenet", tmp_path / "folders", tmp_path / "b", partial=True)
    assert open_prepared("imagenet", tmp_path / "b", num_steps=4).test.load().inputs.shape == (2, 224, 224, 3)
