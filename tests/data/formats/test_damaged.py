"""Every damaged input is refused with its file and, inside the file, the byte."""

import gzip
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from hdlif_jax.data import DataError, prepare
from hdlif_jax.data.datasets import imagenet, tiny_imagenet
from hdlif_jax.data.formats import archives, cifar, dvs128, idx, images, nmnist
from hdlif_jax.data.frames import integrate
from hdlif_jax.data.recordings import load_events
from tests.data import originals
from tests.data.originals import mat, tar, zipped

RNG = np.random.default_rng(0)
LABELS = originals.idx(np.arange(10))
IMAGES, CIFAR_LABELS, RECORDS = originals.cifar_records(RNG, 3, (20, 100))
TIMES, X, Y, POLARITY = originals.random_events(RNG, 40, (34, 34))
EVENTS = originals.nmnist(TIMES, X, Y, POLARITY)
AEDAT = originals.aedat(TIMES, X, Y, POLARITY)
HEADER = len(AEDAT) - 8 * 40
JPEG = originals.jpeg(RNG)
TINY = {
    "wnids.txt": b"n01\nn02\n",
    "val/val_annotations.txt": b"val_0.JPEG\tn01\t0\t0\t62\t62\n",
    "val/images/val_0.JPEG": JPEG,
    "train/n01/images/n01_0.JPEG": JPEG,
}


def replaced(content, position, value):
    return content[:position] + bytes([value]) + content[position + 1 :]


def walk_all(path):
    return [member.read() for member in archives.walk(path)]


def read_aedat(path):
    return load_events(dvs128.open_aedat(path))


def events_of(function):
    return lambda path: load_events(function(path.read_bytes(), str(path)))


read_nmnist, read_mat = events_of(nmnist.parse_nmnist), events_of(dvs128.parse_mat)


def parse(function, *arguments):
    return lambda path: function(path.read_bytes(), str(path), *arguments)


def read_originals(entry):
    """Reads everything of a dataset."""

    def read(path):
        examples = entry.open_originals(path, lambda *file: None)
        return [unread.read() for begin in examples.splits.values() for unread in begin()]

    return read


read_tiny, read_imagenet = read_originals(tiny_imagenet.ENTRY), read_originals(imagenet.ENTRY)


class Attack:
    def __reduce__(self):
        return os.system, ("true",)


TABLE = np.stack([TIMES, TIMES, TIMES, X, Y, POLARITY], 1).astype(float)
PYTHON_KEYS = ("coarse_labels", "fine_labels"), (20, 100)
PICKLE = originals.cifar_pickle(IMAGES, coarse_labels=CIFAR_LABELS[:, 0], fine_labels=CIFAR_LABELS[:, 1])


def link(info):
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0


# name of the file: (content, or {path: content} for a folder, reader, what the message must say beside the file's name)
CASES = {
    "idx-empty": (b"", parse(idx.parse_idx, 1), "byte 0: begins with ; expected 00000801"),
    "idx-wrong-magic": (b"\x00\x00\x0d\x01" + LABELS[4:], parse(idx.parse_idx, 1), "byte 0: begins with 00000d01"),
    "idx-images-for-labels": (LABELS, parse(idx.parse_idx, 3), "byte 0: .* IDX of 3 dimensions"),
    "idx-header-cut": (LABELS[:6], parse(idx.parse_idx, 1), "byte 6: the header is cut short: 6 bytes of 8"),
    "idx-truncated": (LABELS[:-1], parse(idx.parse_idx, 1), "byte 17: the file is cut short: 17 bytes, 18"),
    "idx-too-long": (LABELS + b"x", parse(idx.parse_idx, 1), "byte 18: the file is too long"),
    "gzip-truncated.gz": (gzip.compress(LABELS)[:-9], parse(archives.gunzip), "byte 0: is not a readable gzip"),
    "gzip-not-zipped.gz": (LABELS, parse(archives.gunzip), "byte 0: is not a readable gzip"),
    "cifar-empty": (b"", parse(cifar.parse_binary, (10,)), "byte 0: 0 bytes of a 3073-byte record"),
    "cifar-truncated": (RECORDS[:-5], parse(cifar.parse_binary, (20, 100)), "byte 6148: 3069 bytes of a 3074-byte"),
    "cifar-other-layout": (RECORDS, parse(cifar.parse_binary, (10,)), "byte 9219: 3 bytes of a 3073-byte record"),
    "cifar-label": (
        replaced(RECORDS, 3074, 20),
        parse(cifar.parse_binary, (20, 100)),
        "byte 3074: label 20 of record 1 is outside 0…19",
    ),
    "cifar-fine-label": (
        replaced(RECORDS, 3075, 100),
        parse(cifar.parse_binary, (20, 100)),
        "byte 3075: label 100 of record 1 is outside 0…99",
    ),
    "pickle-truncated": (PICKLE[:-20], parse(cifar.parse_python, *PYTHON_KEYS), "byte .*: is not a readable pickle"),
    "pickle-attack": (
        pickle.dumps({"data": Attack()}),
        parse(cifar.parse_python, *PYTHON_KEYS),
        "byte .*it wants to call (posix|nt).system",
    ),
    "pickle-no-dict": (pickle.dumps([1]), parse(cifar.parse_python, *PYTHON_KEYS), "byte 0: holds a list"),
    "pickle-no-labels": (
        originals.cifar_pickle(IMAGES, coarse_labels=[1, 2, 3]),
        parse(cifar.parse_python, *PYTHON_KEYS),
        "byte 0: has no entry 'fine_labels'",
    ),
    "pickle-wrong-array": (
        pickle.dumps({"data": np.zeros((3, 7), np.uint8), "coarse_labels": [], "fine_labels": []}),
        parse(cifar.parse_python, *PYTHON_KEYS),
        r"byte 0: data is uint8\[3, 7\]; expected uint8\[N, 3072\]",
    ),
    "pickle-too-few-labels": (
        originals.cifar_pickle(IMAGES, coarse_labels=[1, 2, 3], fine_labels=[1]),
        parse(cifar.parse_python, *PYTHON_KEYS),
        r"byte 0: fine_labels has shape \(1,\) for 3 images",
    ),
    "pickle-label": (
        originals.cifar_pickle(IMAGES, coarse_labels=[1, 2, 3], fine_labels=[1, 2, 100]),
        parse(cifar.parse_python, *PYTHON_KEYS),
        r"byte 0: fine_labels\[2\]=100 is outside 0…99",
    ),
    "nmnist-empty.bin": (b"", read_nmnist, "byte 0: the file is empty"),
    "nmnist-truncated.bin": (EVENTS[:-2], read_nmnist, "byte 195: 3 bytes of a 5-byte event"),
    "nmnist-x.bin": (
        replaced(EVENTS, 50, 34),
        read_nmnist,
        "byte 50: event at x=34, .* outside the 34×34",
    ),
    "nmnist-y.bin": (replaced(EVENTS, 51, 99), read_nmnist, "byte 50: event at .*y=99 is outside"),
    "nmnist-order.bin": (
        originals.nmnist([5, 9, 8], [0] * 3, [0] * 3, [0] * 3),
        read_nmnist,
        "byte 10: event at 8 µs follows one at 9 µs",
    ),
    "nmnist-order-behind-overflow.bin": (
        originals.nmnist([5, 0, 9, 8], [0] * 4, [0, 240, 0, 0], [0] * 4),
        read_nmnist,
        "byte 15: event at 8200 µs follows one at 8201 µs",
    ),
    "aedat-empty.aedat": (b"", read_aedat, "byte 0: begins with b''; expected #!AER-DAT2.0"),
    "aedat-version.aedat": (b"#!AER-DAT3.1\r\n" + AEDAT[HEADER:], read_aedat, "byte 0: begins with b'#!AER-DAT3.1'"),
    "aedat-no-events.aedat": (AEDAT[:HEADER], read_aedat, f"byte {HEADER}: the header is not followed by any event"),
    "aedat-truncated.aedat": (AEDAT[:-3], read_aedat, f"byte {HEADER + 312}: 5 bytes of an 8-byte event"),
    "aedat-address.aedat": (
        replaced(AEDAT, HEADER + 80, 1),
        read_aedat,
        f"byte {HEADER + 80}: address 0x1.* has more than 16 bits",
    ),
    "aedat-order.aedat": (
        originals.aedat([5, 9, 8], [0] * 3, [0] * 3, [0] * 3, header=b"#!AER-DAT2.0\r\n"),
        read_aedat,
        "byte 30: event at 8 µs follows one at 9 µs",
    ),
    "mat-not-matlab.mat": (b"nothing", read_mat, "byte 0: is not a readable MATLAB file"),
    "mat-truncated.mat": (mat(out1=TABLE)[:-100], read_mat, "byte 0: is not a readable MATLAB file"),
    "mat-no-out1.mat": (mat(other=TABLE), read_mat, "byte 0: holds no variable out1"),
    "mat-columns.mat": (mat(out1=TABLE[:, :5]), read_mat, r"byte 0: holds out1 of shape \(40, 5\)"),
    "mat-outside.mat": (
        mat(out1=np.where(X[7] == TABLE, 128, TABLE)),
        read_mat,
        "row .* of out1: .*is outside the 128×128",
    ),
    "mat-order.mat": (mat(out1=TABLE[::-1]), read_mat, "row .* of out1: .*events must be in the order of time"),
    "tar-not-a-tar.tar": (b"nothing" * 100, walk_all, "byte 0: is not a readable tar archive"),
    "tar-truncated.tar": (tar({"a": bytes(5000)})[:3000], walk_all, "byte .*cut short"),
    "tar-without-end.tar": (
        tar({"a": bytes(512)})[:1024],
        walk_all,
        "byte 1024: the archive has no end mark",
    ),
    "tar-truncated.tar.gz": (
        tar({"a": RNG.bytes(9000)}, "w:gz")[:4000],
        walk_all,
        "byte .*cut short or damaged",
    ),
    "tar-header.tar": (
        replaced(tar({"a": bytes(600), "b": bytes(600)}), 1540, 7),
        walk_all,
        "byte 1536: the header of a member is damaged",
    ),
    "tar-traversal.tar": (
        tar({"ok": b"x", "../../evil": b"x"}),
        walk_all,
        r"byte 1024: member '../../evil' leads out",
    ),
    "tar-absolute.tar": (
        tar({"/etc/evil": b"x"}),
        walk_all,
        "byte 0: member '/etc/evil' leads out of the archive",
    ),
    "tar-link.tar": (tar({"link": b""}, corrupt=link), walk_all, "byte 0: member link is a link or device"),
    "tar-inner-traversal.tar": (
        tar({"n01.tar": tar({"../evil.JPEG": JPEG})}),
        walk_all,
        "member n01.tar, byte 0: member '../evil.JPEG' leads out",
    ),
    "zip-not-a-zip.zip": (b"nothing", walk_all, "byte 0: is not a readable zip archive"),
    "zip-truncated.zip": (
        zipped({"a": bytes(5000)})[:-30],
        walk_all,
        "byte 0: is not a readable zip archive",
    ),
    "zip-checksum.zip": (
        replaced(zipped({"a": bytes(500)}), 100, 1),
        walk_all,
        "member a, byte 0: cannot be read .*CRC",
    ),
    "zip-traversal.zip": (
        zipped({"../evil": b"x"}),
        walk_all,
        "byte 0: member '../evil' leads out of the archive",
    ),
    "zip-windows-path.zip": (
        zipped({"C:\\evil": b"x"}),
        walk_all,
        "byte 0: member .*evil' leads out of the archive",
    ),
    "image-truncated": (JPEG[:400], parse(images.decode_image), "byte 0: does not decode as an image"),
    "image-nothing": (b"nothing", parse(images.decode_image), "byte 0: does not decode as an image"),
    "image-size": (
        originals.jpeg(RNG, (32, 64)),
        parse(images.decode_image, (64, 64)),
        "byte 0: is 64×32 pixels; expected 64×64",
    ),
    "tiny-no-list": ({k: v for k, v in TINY.items() if k != "wnids.txt"}, read_tiny, "holds no wnids.txt"),
    "tiny-annotation": (
        TINY | {"val/val_annotations.txt": b"val_0.JPEG\tn03\t0\n"},
        read_tiny,
        "val_annotations.txt, byte 0: line .* does not name a file and one of the classes",
    ),
    "tiny-unlisted-image": (
        TINY | {"val/images/val_1.JPEG": JPEG},
        read_tiny,
        "val_1.JPEG, byte 0: belongs to no class",
    ),
    "tiny-broken-image": (
        TINY | {"train/n01/images/n01_0.JPEG": JPEG[:300]},
        read_tiny,
        "n01_0.JPEG, byte 0: does not decode",
    ),
    "imagenet-nothing": (
        {"readme": b""},
        read_imagenet,
        "holds neither the folders train and val nor the official archives",
    ),
    "imagenet-archive-missing": (
        {"ILSVRC2012_img_val.tar": b""},
        read_imagenet,
        "holds no ILSVRC2012_img_train.tar, ILSVRC2012_devkit_t12.tar.gz",
    ),
    "imagenet-stray-image": (
        {"train/n01/a.JPEG": JPEG, "val/b.JPEG": JPEG},
        read_imagenet,
        "b.JPEG, byte 0: lies in no folder of a class such as n01",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_damaged_input_is_refused_with_file_and_byte(name, tmp_path):
    content, read, message = CASES[name]
    path = tmp_path / name
    if isinstance(content, dict):
        for inside, data in content.items():
            (path / inside).parent.mkdir(parents=True, exist_ok=True)
            (path / inside).write_bytes(data)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_the_undamaged_inputs_are_read():
    """So that what the cases above refuse is their damage."""
    assert idx.parse_idx(LABELS, "labels", 1).tolist() == list(range(10))
    for pixels, labels in (
        cifar.parse_binary(RECORDS, "records", (20, 100)),
        cifar.parse_python(PICKLE, "pickle", *PYTHON_KEYS),
    ):
        np.testing.assert_array_equal(pixels, IMAGES)
        np.testing.assert_array_equal(labels, CIFAR_LABELS)
    assert nmnist.parse_nmnist(EVENTS, "events").num_events == 40


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def test_undamaged_archives_and_recordings_are_read(tmp_path):
    members = {"a/b": b"x" * 700, "c": b"y"}
    for archive in (
        write(tmp_path, "a.tar", tar(members)),
        write(tmp_path, "a.tar.gz", tar(members, "w:gz")),
        write(tmp_path, "a.zip", zipped(members)),
    ):
        assert {member.name: member.read() for member in archives.walk(archive)} == members
    nested = write(
        tmp_path,
        "n.tar",
        tar({"n01.tar": tar({"a.JPEG": JPEG}), "n02.tar": tar({"b.JPEG": JPEG})}),
    )
    assert [member.name for member in archives.walk(nested)] == ["n01/a.JPEG", "n02/b.JPEG"]
    from_aedat = dvs128.open_aedat(write(tmp_path, "a.aedat", AEDAT))
    out1 = np.stack([TIMES, TIMES, TIMES, Y, 127 - np.array(X), POLARITY], 1).astype(float)  # as the camera stood
    from_mat = dvs128.parse_mat(mat(out1=out1), "a.mat")
    for recording in (from_aedat, from_mat):
        for values, expected in zip(load_events(recording), (TIMES, X, Y, POLARITY), strict=True):
            np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(integrate(from_aedat, 4), integrate(from_mat, 4))


def test_special_events_of_the_camera_are_left_out(tmp_path):
    pulse = struct.pack(">II", 0x8000, TIMES[20])
    path = write(tmp_path, "a.aedat", AEDAT[: HEADER + 160] + pulse + AEDAT[HEADER + 160 :])
    recording = dvs128.open_aedat(path)
    assert recording.num_events == 40
    np.testing.assert_array_equal(load_events(recording).time, TIMES)


def test_a_damaged_member_inside_an_archive_is_named_by_both(tmp_path):
    source = write(tmp_path, "dvs.zip", zipped({"airplane/cifar10_airplane_100.aedat": AEDAT[:-3]}))
    with pytest.raises(DataError, match=r"dvs\.zip, member airplane/cifar10_airplane_100\.aedat, byte .*cut short"):
        prepare("dvs-cifar10", source, tmp_path / "out", partial=True)
