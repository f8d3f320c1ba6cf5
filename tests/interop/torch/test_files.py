"""Files that are hostile, damaged or something else are refused in one line, and no code in them runs."""

import json
import pathlib
import pickle
import struct
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save

from hdlif_jax.interop import torch as interop

GOOD = {"fc.weight": np.ones((3, 8), np.float32), "fc.bias": np.zeros(3, np.float32)}


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def header(entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


DAMAGED = {
    "empty.safetensors": b"",
    "cut.safetensors": save(GOOD)[:-9],
    "long.safetensors": struct.pack("<Q", 2**60) + b"{}",
    "text.safetensors": b"weights of my network",
    "beyond.safetensors": header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "overlap.safetensors": header({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}) + b"1234",
    "kind.safetensors": header({"a": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 4]}}) + b"1234",
    "eight.safetensors": header({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}) + b"12",
    "nothing.safetensors": save({}),
    "weights.npz": b"PK",
    "nan.safetensors": save(GOOD | {"fc.bias": np.float32([0, np.nan, 0])}),
    "far.safetensors": save(GOOD | {"fc.bias": np.float64([0, 1e300, 0])}),
}
MESSAGES = {"weights.npz": "is no .safetensors file and none of .pt", "nan.safetensors": "fc.bias has numbers that are"}
MESSAGES["far.safetensors"] = "fc.bias has numbers that are not finite in float32"


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_in_a_line(name, tmp_path):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(ValueError, match=r"give|save|weights") as caught:
        interop.read_state_dict(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert MESSAGES.get(name, name) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "is no mapping of names to tensors and has none"),
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, "is no mapping of names to tensors and has none"),
        ({"net": GOOD, "ema": GOOD}, "is no mapping of names to tensors and has 2 of them, net, ema"),
        ({3: GOOD["fc.bias"]}, "3 is no name of a tensor"),
        ({"": GOOD["fc.bias"]}, "'' is no name of a tensor"),
        ({"a\x1b[2J\n.weight": GOOD["fc.bias"]}, r"'a\x1b[2J\n.weight' is no name of a tensor"),
        ({"fc.weight": np.ones(3, complex)}, "fc.weight is of complex128; weights are real numbers"),
        ({"fc.weight": np.array(["a"])}, "fc.weight is of <U1; weights are real numbers"),
        ({"fc.weight": np.float32([np.inf])}, "fc.weight has numbers that are not finite"),
    ],
)
def test_a_mapping_that_is_no_state_dict_is_refused_in_a_line(given, message):
    with pytest.raises(ValueError, match=r"give|save|weights") as caught:
        interop.read_state_dict(given)
    assert message in str(caught.value)


def test_what_is_good_comes_as_numpy_s_own(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(save(GOOD))
    for source in (tmp_path / "a.safetensors", str(tmp_path / "a.safetensors"), GOOD, {"epoch": 1, "state_dict": GOOD}):
        read = interop.read_state_dict(source)
        assert set(read) == set(GOOD)
        np.testing.assert_array_equal(read["fc.weight"], GOOD["fc.weight"])
        read["fc.weight"][0] = 7  # which is a copy
    assert interop.read_state_dict({"a": jnp.ones(2, jnp.bfloat16), "note": "x"})["a"].dtype == np.float32
    entries = {"h": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    entries |= {"n": {"dtype": "I64", "shape": [], "data_offsets": [4, 12]}}
    (tmp_path / "half.safetensors").write_bytes(header(entries) + b"\x80\x3f\x00\x40" + struct.pack("<q", 7))
    half = interop.read_state_dict(tmp_path / "half.safetensors")
    assert (half["h"].dtype, half["h"].tolist(), int(half["n"])) == (np.float32, [1.0, 2.0], 7)
    with pytest.raises(FileNotFoundError):
        interop.read_state_dict(tmp_path / "none.safetensors")


def test_a_torch_file_without_torch_says_what_it_takes(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(ImportError, match=r"takes PyTorch: pip install 'hdlif_jax\[interop\]', or save a \.safet"):
        interop.read_state_dict(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_are_read_and_hostile_ones_do_nothing(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    written, net = tmp_path / "written", torch.nn.Linear(8, 3)
    hostile = {
        "code": {"fc.weight": Hostile(written)},
        "module": net,
        "optimizer": {"lr": 0.1},
        "list": [torch.ones(2)],
        "repeated": {"fc.weight": torch.ones(1).expand(2**46)},
        "of no numbers": {"fc.weight": torch.empty(3, 8, device="meta")},
    }
    for name, value in hostile.items():
        torch.save(value, tmp_path / f"{name}.pt", _use_new_zipfile_serialization=zipped)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Hostile(written)))
    torch.save(net.state_dict(), tmp_path / "good.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "good.pt").read_bytes()
    if zipped:  # with a record of the order of bytes
        (tmp_path / "colours.pt").write_bytes(whole.replace(b"little", b"li\x1b[0m"))
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "zero.ckpt").write_bytes(b"")
    (tmp_path / "text.bin").write_bytes(b"weights of my network")
    for path in sorted(tmp_path.iterdir()):
        if path.name != "good.pt":
            with pytest.raises(ValueError, match="save net") as caught:
                interop.read_state_dict(path)
            assert path.name in str(caught.value)
            assert str(caught.value).isprintable()  # in a line, and without the colours of PyTorch's
            assert "can still be loaded" not in str(caught.value)
    assert not written.exists()
    read = interop.read_state_dict(tmp_path / "good.pt")
    np.testing.assert_array_equal(read["weight"], net.weight.detach().numpy())
    half = {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.ones(2, dtype=torch.float16, requires_grad=True)}
    assert {array.dtype for array in interop.read_state_dict(half).values()} == {np.dtype(np.float32)}
    with pytest.raises(ValueError, match="a is no plain tensor"):
        interop.read_state_dict({"a": torch.ones(2, 2).to_sparse()})
