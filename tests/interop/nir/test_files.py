"""NIR files that are damaged, hostile or of something else are refused in one line."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

nir = pytest.importorskip("nir", reason="nir is not installed; it is in the nir extra")
h5py = pytest.importorskip("h5py")

from hdlif_jax.interop.nir import from_nir, read, write  # noqa: E402 - needs nir
from tests.interop.nir.fixtures.ours import HERE  # noqa: E402

GOOD = HERE / "ours-if.nir"
NODE = "node/nodes/layers.1"


def edited(change):
    """A good file in which something of its HDF5 tree is changed."""

    def damage(path):
        path.write_bytes(GOOD.read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def replaced(name, **dataset):
    def change(file):
        del file[name]
        file.create_dataset(name, **dataset)

    return edited(change)


def linked(link):
    def change(file):
        del file[f"{NODE}/r"]
        file[f"{NODE}/r"] = link

    return edited(change)


DAMAGES = {
    "empty": (lambda path: path.write_bytes(b""), "is no NIR file"),
    "text": (lambda path: path.write_text("hello"), "is no NIR file"),
    "cut off": (lambda path: path.write_bytes(GOOD.read_bytes()[:9000]), "is no NIR file"),
    "a bit of the tree": (
        lambda path: path.write_bytes(GOOD.read_bytes()[:120] + b"M" + GOOD.read_bytes()[121:]),
        "B-tree",
    ),
    "other HDF5": (lambda path: h5py.File(path, "w").close(), "is no NIR file"),
    "no nodes": (edited(lambda file: file.__delitem__("node/nodes")), "is no NIR file"),
    "no threshold": (edited(lambda file: file.__delitem__(f"{NODE}/v_threshold")), "is no NIR file"),
    "unknown kind": (replaced(f"{NODE}/type", data="Izhikevich"), "is no NIR file"),
    "no kind": (edited(lambda file: file.__delitem__(f"{NODE}/type")), "is no NIR file"),
    "shapes that differ": (replaced(f"{NODE}/r", data=np.ones(3)), "must have the same shape"),
    "edges that are none": (replaced("node/edges", data=np.ones(3)), "is no NIR file"),
    "a link to another file": (linked(h5py.ExternalLink("/etc/passwd", "/")), "r is a link to somewhere else"),
    "a link to itself": (linked(h5py.SoftLink("/node")), "r is a link to somewhere else"),
    "far too large": (
        replaced(f"{NODE}/r", shape=(10**12,), dtype="f8", chunks=(10**6,), compression="gzip"),
        "claim to hold 8,000,",
    ),
    "bytes of another file": (
        replaced(f"{NODE}/r", shape=(4,), dtype="f8", external=[("/etc/hostname", 0, 32)]),
        "r lies in another file",
    ),
    "a single node": (lambda path: nir.write(path, nir.Scale(np.ones(3))), "holds a single Scale node|is no NIR file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(name, tmp_path):
    damage, message = DAMAGES[name]
    damage(tmp_path / "network.nir")
    for reader in (read, from_nir):
        with pytest.raises(ValueError, match=message) as caught:
            reader(tmp_path / "network.nir")
        assert "\n" not in str(caught.value)
        assert "network.nir" in str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"network\.nir"):
        from_nir(tmp_path / "network.nir")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "network.nir"
    write(str(path), read(GOOD))
    before = path.read_bytes()

    def stops(partial, graph):
        pathlib.Path(partial).write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(nir, "write", stops)
    with pytest.raises(OSError, match="the disk is full"):
        write(path, read(GOOD))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_the_package_one_line_says_how_to_get_it():
    code = "import sys; sys.modules['nir'] = None; import hdlif_jax.interop; hdlif_jax.interop.nir"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hdlif_jax.interop.nir needs the package nir")
    assert last.endswith("python -m pip install 'hdlif_jax[nir]'")
