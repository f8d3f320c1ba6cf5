import json

import numpy as np
import pytest

from hdlif_jax.deploy import ArtifactError
from hdlif_jax.deploy.format.tensors import dump, parse, parse_json

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.uint8([1, 2, 3]),
    "c": np.zeros((0, 2), np.float32),
    "d": np.array(4, np.float32),
}


def test_round_trip():
    parsed = parse(dump(ARRAYS), "weights")
    assert parsed.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert parsed[name].dtype == array.dtype
        np.testing.assert_array_equal(parsed[name], array)
        assert not parsed[name].flags.writeable


def test_the_safetensors_library_reads_and_writes_the_same_bytes():
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed; it is in the test extra")
    arrays = {name: array for name, array in ARRAYS.items() if name != "c"}
    loaded = library.load(dump(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
    assert library.save(arrays) == dump(arrays)


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(**changes):
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"\x00" * 7, "cut short"),
        ((2**63).to_bytes(8, "little") + b"{}", "claims a header"),
        ((100).to_bytes(8, "little") + b"{}", "header needs 100 bytes"),
        (file_of(b"not json"), "not JSON"),
        (file_of(b"\xff\xfe"), "not JSON"),
        (file_of([]), "must be an object"),
        (file_of({"x": 1}), "no valid data_offsets"),
        (file_of(entry(dtype="F64"), b"\0" * 8), "dtype 'F64'"),
        (file_of(entry(dtype=["F32"]), b"\0" * 8), "has dtype"),
        (file_of(entry(shape=[2.0]), b"\0" * 8), "no valid shape"),
        (file_of(entry(shape=[-2]), b"\0" * 8), "no valid shape"),
        (file_of(entry(shape=[1] * 9 + [2]), b"\0" * 8), "no valid shape"),
        (file_of(entry(shape=[2**31 - 1] * 8), b"\0" * 8), "needs"),
        (file_of(entry(shape=[3]), b"\0" * 8), "needs 12 bytes but has 8"),
        (file_of(entry(data_offsets=[0, 8, 9]), b"\0" * 8), "no valid data_offsets"),
        (file_of(entry(data_offsets=[8, 0]), b"\0" * 8), "offsets 8 and 0"),
        (file_of(entry(data_offsets=[4, 12]), b"\0" * 12), "begins at byte 4"),
        (file_of(entry(), b"\0" * 4), "behind the end"),
        (file_of(entry(), b"\0" * 9), "belong to no array"),
        (file_of(b'{"x": 1, "x": 2}'), "a key twice"),
        (file_of(b"[" * 100_000), "not JSON"),
        (file_of(b'{"x": NaN}'), "NaN"),
    ],
)
def test_files_that_lie_are_refused(data, message):
    with pytest.raises(ArtifactError, match=message):
        parse(data, "weights")


def test_huge_integers_in_json_are_refused():
    with pytest.raises(ArtifactError, match="not JSON"):
        parse_json(b"1" * 10_000, "file")
