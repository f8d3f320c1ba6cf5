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
from hdlif_jax.data.prepare import PARTIAL
from tests.data import originals


def nothing_in(directory):
    return not [path for path in directory.rglob("*") if path.is_file()]


def test_cifar100_records_equal_the_originals_and_are_tfds_own(tmp_path, generator):
    parts = originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)
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


def test_official_counts_and_checksums_are_checked(tmp_path, generator):
    originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)
    with pytest.raises(DataError, match=r"train\.bin has the MD5 .*, the official file 6172c775.*--partial"):
        prepare("cifar100", tmp_path / "in", tmp_path / "out")
    times, x, y, polarity = originals.random_events(generator, 50, (34, 34))
    for split in ("Train", "Test"):
        path = originals.folder(tmp_path / "nmnist" / split / "3") / "00001.bin"
        path.write_bytes(originals.nmnist(times, x, y, polarity))
    with pytest.raises(DataError, match="train split of nmnist has 1 examples, expected 60000; pass --partial"):
        prepare("nmnist", tmp_path / "nmnist", tmp_path / "out")
    archive = originals.folder(tmp_path / "zips") / "Train.zip"
    archive.write_bytes(originals.zipped({"Train/3/00001.bin": b""}))
    with pytest.raises(DataError, match=r"Train\.zip has the MD5 .*, the official file 20959b8e"):
        prepare("nmnist", archive.parent, tmp_path / "out")
    assert nothing_in(tmp_path / "out")


def test_a_broken_run_leaves_nothing_and_can_be_rerun(tmp_path, generator):
    originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)

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
    originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)
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
    alive = originals.folder(out / f"{PARTIAL}{os.getppid()}")  # of another run that still works
    prepare("cifar100", tmp_path / "in", out, partial=True)
    assert {path.name for path in out.iterdir()} == {"cifar100", alive.name}


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
    originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)
    path = prepare("cifar100", tmp_path / "in", tmp_path / "out", partial=True)
    shard = next(path.glob("*train*"))
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2] + bytes(200) + content[len(content) // 2 + 200 :])
    with pytest.raises(DataError, match=r"cifar100/3\.0\.2, train (split: records|record)"):
        open_prepared("cifar100", tmp_path / "out", num_steps=4).train.load()


def test_another_file_format_is_refused_with_the_fix(tmp_path, generator):
    originals.write_cifar100_binary(originals.folder(tmp_path / "in"), generator)
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

    site = originals.folder(tmp_path / "site")
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
