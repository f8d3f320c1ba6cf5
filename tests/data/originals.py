"""Tiny files in the authors' formats, made by the tests."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import scipy.io
from PIL import Image


def idx(values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write_mnist(folder, generator, sizes=(12, 5), zipped=True):
    """Four IDX files; returns the arrays by split."""
    parts = {}
    for (split, stem), size in zip({"train": "train", "test": "t10k"}.items(), sizes, strict=True):
        images = generator.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, size, dtype=np.uint8)
        for name, values in {"images-idx3": images, "labels-idx1": labels}.items():
            content = idx(values)
            path = folder / f"{stem}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
        parts[split] = images[..., None], labels
    return parts


def cifar_records(generator, size, limits):
    """Images `[N, 32, 32, 3]`, labels `[N, L]` and the records of the binary layout."""
    images = generator.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8)
    labels = np.stack([generator.integers(0, limit, size, dtype=np.uint8) for limit in limits], 1)
    planes = images.transpose(0, 3, 1, 2).reshape(size, -1)
    return images, labels, np.concatenate([labels, planes], 1).tobytes()


def write_cifar100_binary(folder, generator, sizes=(6, 3)):
    parts = {}
    for split, size in zip(("train", "test"), sizes, strict=True):
        images, labels, records = cifar_records(generator, size, (20, 100))
        (folder / f"{split}.bin").write_bytes(records)
        parts[split] = images, labels
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse{index}" for index in range(20)))
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine{index}" for index in range(100)))
    return parts


def cifar_pickle(images, **labels):
    data = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return pickle.dumps({"data": data, **{key: [int(v) for v in values] for key, values in labels.items()}}, protocol=2)


def jpeg(generator, size=(64, 64)):
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def nmnist(times, x, y, polarity):
    """Events in the 40-bit format."""
    return b"".join(
        bytes([column, row, on << 7 | time >> 16, time >> 8 & 255, time & 255])
        for time, column, row, on in zip(times, x, y, polarity, strict=True)
    )


def aedat(times, x, y, polarity, header=b"#!AER-DAT2.0\r\n# a comment\r\n"):
    """Events of an upright recording as the camera, mounted sideways, wrote them."""
    events = b"".join(
        struct.pack(">II", (127 - column) << 8 | (127 - row) << 1 | (1 - on), time)
        for time, column, row, on in zip(times, x, y, polarity, strict=True)
    )
    return header + events


def random_events(generator, size, sensor=(128, 128), duration=1000):
    """Times in order, x, y, polarity, as lists of ints."""
    times = np.sort(generator.integers(0, duration, size))
    x, y = generator.integers(0, sensor[1], size), generator.integers(0, sensor[0], size)
    return tuple(values.tolist() for values in (times, x, y, generator.integers(0, 2, size)))


def tar(members, mode="w", corrupt=None):
    """A tar of names and contents; `corrupt` changes a member's header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if corrupt:
                corrupt(info)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def mat(**variables):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    return buffer.getvalue()


def folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path
