import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow_datasets as tfds

from hdlif_jax import data
from hdlif_jax.data import DataError, catalog, open_prepared, prepare
from hdlif_jax.data.events import Events, integrate, recording_of
from hdlif_jax.data.prepare import PARTIAL
from tests.data import originals
from tests.data.formats.test_damaged import mat, tar, zipped


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def nothing_in(directory):
    return not [path for path in directory.rglob("*") if path.is_file()]


def test_cifar100_records_equal_the_originals_and_are_tfds_own(tmp_path, generator):
    parts = originals.write_cifar100_binary(folder(tmp_path / "in"), generator)
    path = prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True)
    assert path == tmp_path / "out" / "cifar100" / "3.0.2"
    builder = tfds.builder_from_directory(str(path))
    assert builder.info.features["label"].names == [f"fine{index}" for index in range(100)]
    assert builder.info.features["image"].shape == (32, 32, 3)
    dataset = open_prepared("cifar100", tmp_path / "out", num_steps=4)
    for source, (images, labels) in zip((dataset.train, dataset.test), parts.values(), strict=True):
        inputs, fine = source.load()
        np.testing.assert_array_equal(inputs, images)
        np.testing.assert_array_equal(fine, labels[:, 1])
        assert (inputs.dtype, fine.dtype) == (np.uint8, np.int32)
    stored = list(builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()}))
    assert [record["id"] for record in stored] == [f"train_{index:05d}".encode() for index in range(6)]
    assert [record["coarse_label"] for record in stored] == parts["train"][1][:, 0].tolist()
    assert "tensorflow" not in sys.modules


def test_both_cifar_layouts_give_the_same_records(tmp_path, generator):
    images, labels, records = originals.cifar_records(generator, 4, (10,))
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    pickled = originals.cifar_pickle(images, labels=labels[:, 0])
    members = {f"cifar-10-batches-py/{name}": pickled for name in names}
    (tmp_path / "python.tar.gz").write_bytes(tar(members, "w:gz"))
    binary = folder(tmp_path / "binary")
    for name in names:
        (binary / f"{name}.bin").write_bytes(records)
    for source in ("python.tar.gz", "binary"):
        prepare("cifar10", tmp_path / source, tmp_path / f"out-{source}", partial=True)
        dataset = open_prepared("cifar10", tmp_path / f"out-{source}", num_steps=4)
        np.testing.assert_array_equal(dataset.train.load().inputs, np.concatenate([images] * 5))
        np.testing.assert_array_equal(dataset.test.load().labels, labels[:, 0])


def test_cifar100_python_layout(tmp_path, generator):
    images, labels, _ = originals.cifar_records(generator, 3, (20, 100))
    content = originals.cifar_pickle(images, coarse_labels=labels[:, 0], fine_labels=labels[:, 1])
    import pickle

    meta = pickle.dumps(
        {"coarse_label_names": [f"c{i}" for i in range(20)], "fine_label_names": [f"f{i}" for i in range(100)]}
    )
    for name, data_ in {"train": content, "test": content, "meta": meta}.items():
        (folder(tmp_path / "in") / name).write_bytes(data_)
    prepare("cifar100", tmp_path / "in", tmp_path, partial=True)
    np.testing.assert_array_equal(open_prepared("cifar100", tmp_path, num_steps=1).train.load().inputs, images)


@pytest.mark.parametrize("zipped_files", [False, True])
def test_mnist_from_idx(tmp_path, generator, zipped_files):
    parts = originals.write_mnist(folder(tmp_path / "in"), generator, zipped=zipped_files)
    prepare("fashion-mnist", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("fashion-mnist", tmp_path, num_steps=4)
    assert dataset.class_names[9] == "Ankle boot"
    for source, (images, labels) in zip((dataset.train, dataset.test), parts.values(), strict=True):
        np.testing.assert_array_equal(source.load().inputs, images)
        np.testing.assert_array_equal(source.labels, labels)


def test_tiny_imagenet_keeps_the_files_as_they_are(tmp_path, generator):
    jpegs = [originals.jpeg(generator) for _ in range(3)]
    members = {
        "tiny-imagenet-200/wnids.txt": b"n02\nn01\n",
        "tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t62\t62\n",
        "tiny-imagenet-200/train/n01/images/n01_0.JPEG": jpegs[0],
        "tiny-imagenet-200/train/n02/images/n02_0.JPEG": jpegs[1],
        "tiny-imagenet-200/val/images/val_0.JPEG": jpegs[2],
    }
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(zipped(members))
    path = prepare("tiny-imagenet", tmp_path / "tiny-imagenet-200.zip", tmp_path / "out", partial=True)
    source = tfds.builder_from_directory(str(path)).as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert [record["image"] for record in source] == jpegs[:2]
    dataset = open_prepared("tiny-imagenet", tmp_path / "out", num_steps=4)
    assert dataset.class_names == ("n01", "n02")
    assert dataset.test.load().labels.tolist() == [1]
    assert dataset.input_shape == (64, 64, 3)


def imagenet_archives(directory, generator):
    jpegs = [originals.jpeg(generator, (60, 80)) for _ in range(4)]
    dtype = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    synsets = np.array([(1, "n02", 0), (2, "n01", 0), (3, "n00", 2)], dtype=dtype)
    (directory / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(
        tar(
            {
                "ILSVRC2012_devkit_t12/data/meta.mat": mat(synsets=synsets),
                "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": b"2\n1\n",
            },
            "w:gz",
        )
    )
    (directory / "ILSVRC2012_img_train.tar").write_bytes(
        tar({"n01.tar": tar({"n01_1.JPEG": jpegs[0]}), "n02.tar": tar({"n02_1.JPEG": jpegs[1]})})
    )
    (directory / "ILSVRC2012_img_val.tar").write_bytes(
        tar({"ILSVRC2012_val_00000001.JPEG": jpegs[2], "ILSVRC2012_val_00000002.JPEG": jpegs[3]})
    )


def test_imagenet_from_the_official_archives_and_from_folders(tmp_path, generator):
    imagenet_archives(folder(tmp_path / "tars"), generator)
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
            path = folder(tmp_path / "folders" / part / name)
            (path / f"{part}_{name}.JPEG").write_bytes(originals.jpeg(generator, (50, 50)))
    prepare("imagenet", tmp_path / "folders", tmp_path / "b", partial=True)
    assert open_prepared("imagenet", tmp_path / "b", num_steps=4).test.load().inputs.shape == (2, 224, 224, 3)


def test_nmnist_frames_equal_the_events(tmp_path, generator):
    expected = []
    for split, number in (("Train", 4), ("Test", 2)):
        for index in range(number):
            times, x, y, polarity = originals.random_events(generator, 50, (34, 34))
            path = folder(tmp_path / "in" / split / str(index % 10)) / f"{index:05d}.bin"
            path.write_bytes(originals.nmnist(times, x, y, polarity))
            events = Events(np.array(times), np.array(x), np.array(y), np.array(polarity, bool))
            expected.append(integrate(recording_of(events, (34, 34)), 5, slicing="equal-time"))
    prepare("nmnist", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("nmnist", tmp_path, num_steps=5, slicing="equal-time")
    inputs, labels = dataset.train.load()
    np.testing.assert_array_equal(inputs, np.stack(expected[:4]))
    assert labels.tolist() == [0, 1, 2, 3]
    assert dataset.train.shape == (4, 5, 34, 34, 2)


def test_dvs_cifar10_is_split_by_number_and_made_smaller(tmp_path, generator):
    for number in (99, 100):
        events = originals.random_events(generator, 60)
        path = folder(tmp_path / "in" / "bird") / f"cifar10_bird_{number}.aedat"
        path.write_bytes(originals.aedat(*events))
    prepare("dvs-cifar10", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("dvs-cifar10", tmp_path, num_steps=10, frame_size=48)
    assert dataset.train.shape == dataset.test.shape == (1, 10, 48, 48, 2)
    inputs, labels = dataset.test.load()
    assert inputs.sum() == 60
    assert labels.tolist() == [2]


def test_official_counts_and_checksums_are_checked(tmp_path, generator):
    originals.write_cifar100_binary(folder(tmp_path / "in"), generator)
    with pytest.raises(DataError, match=r"train\.bin has the MD5 .*, the official file 6172c775.*--partial"):
        prepare("cifar100", tmp_path / "in", tmp_path / "out")
    times, x, y, polarity = originals.random_events(generator, 50, (34, 34))
    for split in ("Train", "Test"):
        path = folder(tmp_path / "nmnist" / split / "3") / "00001.bin"
        path.write_bytes(originals.nmnist(times, x, y, polarity))
    with pytest.raises(DataError, match="train split of nmnist has 1 examples, expected 60000; pass --partial"):
        prepare("nmnist", tmp_path / "nmnist", tmp_path / "out")
    archive = folder(tmp_path / "zips") / "Train.zip"
    archive.write_bytes(zipped({"Train/3/00001.bin": b""}))
    with pytest.raises(DataError, match=r"Train\.zip has the MD5 .*, the official file 20959b8e"):
        prepare("nmnist", archive.parent, tmp_path / "out")
    assert nothing_in(tmp_path / "out")


def test_a_broken_run_leaves_nothing_and_can_be_rerun(tmp_path, generator):
    originals.write_cifar100_binary(folder(tmp_path / "in"), generator)

    def interrupted(items, description, total):
        for number, item in enumerate(items):
            if number == 3:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True, progress=interrupted)
    assert not list((tmp_path / "out").iterdir())
    first = prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True)
    stamp = (first / "dataset_info.json").stat().st_mtime_ns
    assert prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True) == first
    assert (first / "dataset_info.json").stat().st_mtime_ns == stamp


def test_a_killed_run_is_cleared_by_the_next(tmp_path, generator):
    originals.write_cifar100_binary(folder(tmp_path / "in"), generator)
    out = tmp_path / "out"
    script = f"""
        import os, signal
        from hdlif_jax import data
        def progress(items, description, total):
            for number, item in enumerate(items):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield item
        data.prepare("cifar100", {str(tmp_path / "in")!r}, {str(out)!r}, partial=True, progress=progress)
    """
    root = pathlib.Path(data.__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=root, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert [path.name[: len(PARTIAL)] for path in out.iterdir()] == [PARTIAL]
    with pytest.raises(DataError, match="cifar100 is not in"):
        open_prepared("cifar100", out, num_steps=4)
    alive = folder(out / f"{PARTIAL}{os.getppid()}")  # of another run that still works
    prepare("cifar100", tmp_path / "in", out, partial=True)
    assert {path.name for path in out.iterdir()} == {"cifar100", alive.name}


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_missing_data_says_what_to_get_and_where_to_put_it(name, tmp_path):
    with pytest.raises(DataError) as caught:
        open_prepared(name, tmp_path, num_steps=4)
    message = str(caught.value)
    for original in catalog.CATALOG[name].originals:
        assert original.name in message
    assert f"python -m experiments.prepare_data {name} --from FOLDER_WITH_THESE_FILES --to {tmp_path}" in message


def test_missing_originals_are_named(tmp_path, generator):
    originals.write_mnist(tmp_path, generator)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"holds no t10k-labels-idx1-ubyte; mnist needs train-images-idx3-ubyte\.gz"):
        prepare("mnist", tmp_path, tmp_path / "out", partial=True)
    with pytest.raises(DataError, match="nowhere does not exist"):
        prepare("mnist", tmp_path / "nowhere", tmp_path / "out", partial=True)
    with pytest.raises(DataError, match="dataset 'imagenette' is unknown; choose one of mnist"):
        prepare("imagenette", tmp_path, tmp_path / "out")


def test_a_damaged_prepared_dataset_is_refused(tmp_path, generator):
    originals.write_cifar100_binary(folder(tmp_path / "in"), generator)
    path = prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True)
    shard = next(path.glob("*train*"))
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2] + bytes(200) + content[len(content) // 2 + 200 :])
    with pytest.raises(DataError, match=r"cifar100/3\.0\.2, train (split: records|record)"):
        open_prepared("cifar100", tmp_path / "out", num_steps=4).train.load()


def test_another_file_format_is_refused_with_the_fix(tmp_path, generator):
    originals.write_cifar100_binary(folder(tmp_path / "in"), generator)
    path = prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True)
    info = path / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match="stored as tfrecord; prepare it again with file_format='array_record'"):
        open_prepared("cifar100", tmp_path / "out", num_steps=4)


def test_download_lets_tfds_fetch(tmp_path, generator, monkeypatch):
    import dataclasses
    import functools
    import http.server
    import threading

    site = folder(tmp_path / "site")
    parts = originals.write_mnist(site, generator)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry = catalog.CATALOG["mnist"]
        local = tuple(
            original._replace(url=f"http://127.0.0.1:{server.server_port}/{original.name}")
            for original in entry.originals
        )
        monkeypatch.setitem(catalog.CATALOG, "mnist", dataclasses.replace(entry, originals=local))
        source = data.download("mnist", tmp_path / "out")
        server.shutdown()
    assert sorted(path.name for path in source.iterdir()) == sorted(original.name for original in local)
    prepare("mnist", source, tmp_path / "out", partial=True)
    np.testing.assert_array_equal(
        open_prepared("mnist", tmp_path / "out", num_steps=1).train.load().inputs, parts["train"][0]
    )
    with pytest.raises(DataError, match="imagenet cannot be fetched without an account; get ILSVRC2012_img_train"):
        data.download("imagenet", tmp_path / "out")
