"""Artifacts that are damaged or made to deceive: refused, with a reason, before anything is executed or allocated."""

import gzip
import hashlib
import json
import os
import pathlib
import pickle
import shutil

import jax
import numpy as np
import pytest

from hdlif_jax.deploy import ArtifactError, load, read, runtime, size_on_disk, write
from hdlif_jax.deploy.format import manifest, tensors
from tests.deploy.networks import small_artifact


def test_round_trip_bit_for_bit(written, tmp_path):
    first = read(written)
    write(tmp_path / "again", first)
    assert {file.name for file in written.iterdir()} == {file.name for file in (tmp_path / "again").iterdir()}
    for file in written.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
    made = small_artifact()
    assert first.arrays.keys() == made.arrays.keys()
    for name, array in made.arrays.items():
        assert first.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(first.arrays[name], array)
    assert first.programs == made.programs
    assert first.manifest.config == {"preset": "test"}


def test_size_on_disk(written):
    first = read(written)
    weights = sum(array.size for array in first.arrays.values() if array.dtype == np.int8)
    assert first.manifest.files["weights.safetensors"].bytes < weights / 5 + 4 * sum(
        array.size for array in first.arrays.values() if array.dtype != np.int8
    ) + 100 * len(first.arrays)
    assert size_on_disk(written) == sum(file.stat().st_size for file in written.iterdir())


def test_nothing_is_overwritten(written, tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        write(tmp_path, small_artifact())
    assert [file.name for file in tmp_path.iterdir()] == ["note"]


def test_a_write_that_fails_leaves_nothing(written, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    made = read(written)
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "artifact", made)
    assert not list(tmp_path.iterdir())


def test_the_current_folder_can_be_named(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(pathlib.Path("."), read(written))
    assert read(tmp_path).programs == read(written).programs


def edit(directory, change):
    """Changes the manifest and makes its checksum right again, as an attacker would."""
    path = directory / "manifest.json"
    fields = json.loads(path.read_text())
    change(fields)
    fields.pop("sha256", None)
    text = json.dumps(fields, sort_keys=True, indent=1).encode()
    fields["sha256"] = hashlib.sha256(text).hexdigest()
    path.write_text(json.dumps(fields, sort_keys=True, indent=1))


def replace(directory, name, data):
    """Replaces a file and all that the manifest says of it."""
    (directory / name).write_bytes(data)

    def change(fields):
        fields["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    edit(directory, change)


def set_(*path_and_value):
    *path, last, value = path_and_value

    def change(fields):
        for key in path:
            fields = fields[key]
        fields[last] = value

    return lambda directory: edit(directory, change)


def change_arrays(change):
    def damage(directory):
        arrays = dict(tensors.parse((directory / "weights.safetensors").read_bytes(), "weights"))
        change(arrays)
        replace(directory, "weights.safetensors", tensors.dump(arrays))

    return damage


def flip(name, position):
    def damage(directory):
        data = bytearray((directory / name).read_bytes())
        data[position] ^= 0x10
        (directory / name).write_bytes(bytes(data))

    return damage


def truncate(name, size):
    return lambda directory: (directory / name).write_bytes((directory / name).read_bytes()[:size])


def unlink(name):
    return lambda directory: (directory / name).unlink()


def symlink(directory):
    target = directory.parent / "elsewhere"
    shutil.move(directory / "weights.safetensors", target)
    os.symlink(target, directory / "weights.safetensors")


def traversal(directory):
    def change(fields):
        fields["files"]["../outside.safetensors"] = fields["files"].pop("weights.safetensors")

    edit(directory, change)


def absolute(directory):
    edit(directory, lambda fields: fields["files"].update({"/etc/passwd": fields["files"]["weights.safetensors"]}))


def raw_manifest(data):
    return lambda directory: (directory / "manifest.json").write_bytes(data)


def bomb(directory):
    replace(directory, "rollout-float.stablehlo.gz", gzip.compress(b"\0" * 50_000_000, mtime=0))


def swap_programs(directory):
    replace(directory, "rollout-float.stablehlo.gz", (directory / "step-float.stablehlo.gz").read_bytes())
    size = json.loads((directory / "manifest.json").read_text())["programs"]["step-float"]["bytes"]
    set_("programs", "rollout-float", "bytes", size)(directory)


def garbage_program(content):
    def damage(directory):
        replace(directory, "rollout-float.stablehlo.gz", gzip.compress(content, mtime=0))
        set_("programs", "rollout-float", "bytes", len(content))(directory)

    return damage


def is_directory(directory):
    (directory / "weights.safetensors").unlink()
    (directory / "weights.safetensors").mkdir()


class Bomb:
    def __reduce__(self):
        return os.system, ("touch executed",)


KERNEL = "blocks.0.conv1.kernel"
BIAS = "blocks.0.conv1.bias"
HOSTILE = {
    "manifest missing": (unlink("manifest.json"), "manifest.json is missing"),
    "manifest cut short": (truncate("manifest.json", 100), "not JSON"),
    "manifest empty": (truncate("manifest.json", 0), "not JSON"),
    "manifest flipped": (flip("manifest.json", 700), "manifest.json"),
    "manifest is a pickle": (raw_manifest(pickle.dumps(Bomb())), "not JSON"),
    "manifest is a list": (raw_manifest(b"[]"), "must be an object"),
    "manifest with a key twice": (raw_manifest(b'{"format": 1, "format": 2}'), "a key twice"),
    "manifest nested deep": (raw_manifest(b'{"a":' * 100_000), "not JSON"),
    "another format": (set_("format", "onnx"), "of format 'onnx'"),
    "a newer version": (set_("version", 2), "of version 2; this release reads version 1"),
    "version is a text": (set_("version", "1"), "of version '1'"),
    "version is true": (set_("version", True), "of version True"),
    "a field too many": (set_("hook", "os.system"), "wrong fields: \\['hook'\\]"),
    "zero steps": (set_("num_steps", 0), "num_steps=0"),
    "steps beyond reason": (set_("num_steps", 10**12), "num_steps=1000000000000"),
    "steps that the program does not have": (set_("num_steps", 5), "another signature"),
    "input shape that lies": (set_("input_shape", [9, 9, 2]), "another signature"),
    "input shape is huge": (set_("input_shape", [2**40, 1, 1]), "input_shape"),
    "class name missing": (set_("class_names", ["one"]), "another signature"),
    "class names are numbers": (set_("class_names", [1, 2, 3, 4, 5]), "must be a list of strings"),
    "state that lies": (set_("state", "blocks.0.neuron1", [8, 8, 7]), "another signature"),
    "weights missing": (unlink("weights.safetensors"), "weights.safetensors is missing"),
    "weights cut short": (truncate("weights.safetensors", 500), "cut short"),
    "weights flipped": (flip("weights.safetensors", 2000), "checksum"),
    "weights header flipped": (flip("weights.safetensors", 20), "checksum"),
    "weights are a pickle": (lambda d: replace(d, "weights.safetensors", pickle.dumps(Bomb())), "weights"),
    "weights are a link": (symlink, "not a plain file"),
    "weights are a folder": (is_directory, "not a plain file"),
    "path traversal": (traversal, "has no file '../outside.safetensors'"),
    "absolute path": (absolute, "has no file '/etc/passwd'"),
    "size that lies": (set_("files", "weights.safetensors", "bytes", 10**9), "instead of 1000000000"),
    "size beyond reason": (set_("files", "weights.safetensors", "bytes", 10**15), "must be in"),
    "checksum that lies": (set_("files", "weights.safetensors", "sha256", "0" * 64), "checksum"),
    "checksum is no checksum": (set_("files", "weights.safetensors", "sha256", "x"), "not a SHA-256"),
    "array shape that lies": (set_("arrays", KERNEL, "shape", [3, 3, 6, 7]), "cannot hold"),
    "array of terabytes": (set_("arrays", KERNEL, "shape", [10**6, 10**6]), "declares"),
    "array with a negative axis": (set_("arrays", KERNEL, "shape", [-3, 3, 6, 6]), "is not a shape"),
    "unknown encoding": (set_("arrays", KERNEL, "encoding", "pickle"), "must be one of"),
    "encoding that lies": (set_("arrays", BIAS, "encoding", "ternary"), "is not packed"),
    "packed array called float": (set_("arrays", KERNEL, "encoding", "float32"), "declares arrays of|is uint8"),
    "array missing": (change_arrays(lambda arrays: arrays.pop(KERNEL)), "holds other arrays|declares arrays of"),
    "array too many": (change_arrays(lambda arrays: arrays.update(extra=np.float32([1]))), "holds other arrays"),
    "not finite": (change_arrays(lambda arrays: arrays.update({BIAS: arrays[BIAS] * np.float32("nan")})), "not finite"),
    "bytes no trits make": (
        change_arrays(lambda arrays: arrays.update({KERNEL: np.full_like(arrays[KERNEL], 250)})),
        "above 242",
    ),
    "program missing": (unlink("rollout-float.stablehlo.gz"), "is missing"),
    "program flipped": (flip("rollout-float.stablehlo.gz", 300), "checksum"),
    "program not compressed": (lambda d: replace(d, "rollout-float.stablehlo.gz", b"ML\xefR"), "not a gzip file"),
    "program is a bomb": (bomb, "does not hold the"),
    "program is another": (swap_programs, "another signature"),
    "program is noise": (garbage_program(b"noise" * 100), "not StableHLO"),
    "program is noise behind its name": (garbage_program(b"ML\xefR" + b"noise" * 100), "not readable StableHLO"),
    "program is a pickle": (garbage_program(pickle.dumps(Bomb())), "not StableHLO"),
    "program of the future": (set_("programs", "rollout-float", "calling_convention", 99), "calling convention 99"),
    "program size beyond reason": (set_("programs", "rollout-float", "bytes", 10**12), "must be in"),
    "programs missing": (set_("programs", {}), "programs are missing"),
    "unknown program": (
        set_("programs", "shell", {"bytes": 1, "calling_convention": 10, "jax": "0"}),
        "unknown program",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_or_broken_artifacts_are_refused(case, written, tmp_path, monkeypatch):
    damage, message = HOSTILE[case]
    directory = tmp_path / "artifact"
    shutil.copytree(written, directory)
    damage(directory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax, "jit", None)  # nothing may get as far as being executed
    monkeypatch.setattr(runtime.jax, "jit", None, raising=False)
    with pytest.raises(ArtifactError, match=message) as refusal:
        _load_float_without_jit(directory, monkeypatch)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert not (tmp_path / "executed").exists()


def _load_float_without_jit(directory, monkeypatch):
    loaded = read(directory)
    monkeypatch.undo()  # rebuilding traces a function of zeros of the declared signature, by jit
    runtime.Deployed(loaded, "float")


def test_not_a_folder(tmp_path):
    with pytest.raises(ArtifactError, match="is not a folder"):
        load(tmp_path / "nothing")


def test_a_manifest_of_terabytes_is_not_read(written, tmp_path):
    directory = tmp_path / "artifact"
    shutil.copytree(written, directory)
    with (directory / "manifest.json").open("r+b") as file:
        file.truncate(10**12)  # sparse: takes no space
    with pytest.raises(ArtifactError, match="at most 8000000 are allowed"):
        read(directory)


def test_every_random_flip_is_noticed_or_harmless(written, tmp_path):
    expected = read(written)
    directory = tmp_path / "artifact"
    shutil.copytree(written, directory)
    generator = np.random.default_rng(0)
    files = sorted(file.name for file in written.iterdir())
    refused = 0
    for trial in range(400):
        name = files[trial % len(files)]
        original = (written / name).read_bytes()
        data = bytearray(original)
        for _ in range(generator.integers(1, 4)):
            data[generator.integers(len(data))] ^= 1 << generator.integers(8)
        if generator.random() < 0.2:
            data = data[: generator.integers(len(data))]
        (directory / name).write_bytes(bytes(data))
        try:
            found = read(directory)
        except ArtifactError:
            refused += 1
        else:
            assert found.programs == expected.programs
            assert found.manifest == expected.manifest
            for array, other in zip(found.arrays.values(), expected.arrays.values(), strict=True):
                np.testing.assert_array_equal(array, other)
        (directory / name).write_bytes(original)
    assert refused > 380


def test_manifest_text_is_stable():
    made = small_artifact().manifest
    assert manifest.dump(made) == manifest.dump(made)
