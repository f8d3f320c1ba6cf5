"""An artifact on disk: a folder with manifest.json, weights.safetensors and the exported programs, and nothing else.

Files are read with their size known, compared with their checksum, and only then parsed. Nothing is ever unpickled.
"""

import dataclasses
import gzip
import hashlib
import os
import pathlib
import shutil
import stat
import zlib
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax import show
from hdlif_jax.deploy.format import manifest as manifests
from hdlif_jax.deploy.format import tensors
from hdlif_jax.deploy.format.errors import ArtifactError, require
from hdlif_jax.deploy.format.manifest import MANIFEST, WEIGHTS, ArraySpec, FileSpec, Manifest, program_file
from hdlif_jax.deploy.format.pack import encoding_of, pack, unpack


class Artifact(NamedTuple):
    """An artifact in memory.

    Attributes:
      manifest: its description.
      arrays: by name, unpacked: int8 kernels, all else float32.
      programs: StableHLO by name.
    """

    manifest: Manifest
    arrays: dict[str, np.ndarray]
    programs: dict[str, bytes]

    def __repr__(self) -> str:
        return show.line("Artifact", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Artifact", self._facts())

    def _facts(self) -> dict[str, Any]:
        sizes = (f"{name} ({len(program) / 1e3:.1f} kB)" for name, program in self.programs.items())
        return self.manifest.facts() | {"arrays": show.entries(self.arrays), "programs": ", ".join(sizes)}


def encode_arrays(arrays: dict[str, np.ndarray]) -> tuple[dict[str, ArraySpec], bytes]:
    """Packs a network's arrays: their description, and the content of the weights file."""
    specs = {name: ArraySpec(array.shape, encoding_of(array)) for name, array in arrays.items()}
    packed = {
        name: array if specs[name].encoding == "float32" else pack(array, specs[name].encoding)
        for name, array in arrays.items()
    }
    return specs, tensors.dump(packed)


def write(directory: pathlib.Path, artifact: Artifact) -> Artifact:
    """Writes an artifact; equal artifacts give equal files.

    Args:
      directory: does not exist yet, or is an empty folder.
      artifact: its manifest needs no `files`.

    Returns:
      The artifact with the manifest as written.

    Raises:
      ValueError: the directory holds something.
    """
    directory = pathlib.Path(directory).absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory} is not empty; name a new folder for the artifact, or delete that one")
    specs, weights = encode_arrays(artifact.arrays)
    contents = {WEIGHTS: weights} | {
        program_file(name): gzip.compress(program, 9, mtime=0) for name, program in artifact.programs.items()
    }
    files = {name: FileSpec(len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()}
    manifest = dataclasses.replace(artifact.manifest, arrays=specs, files=files)
    contents[MANIFEST] = manifests.dump(manifest)
    partial = directory.with_name(f".{directory.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        for name, data in contents.items():
            (partial / name).write_bytes(data)
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return artifact._replace(manifest=manifest)


def read(directory: pathlib.Path) -> Artifact:
    """Reads and checks an artifact.

    Raises:
      ArtifactError: it is damaged, of another version, or not an artifact.
    """
    directory = pathlib.Path(directory)
    require(directory.is_dir(), f"{directory} is not a folder; name one that holds an artifact")
    manifest = manifests.parse(_read_file(directory, MANIFEST, None))
    for name in manifest.files:  # sizes of all before the content of any
        _size_of(directory, name, manifest.files[name].bytes)
    packed = tensors.parse(_read_file(directory, WEIGHTS, manifest.files[WEIGHTS]), WEIGHTS)
    require(packed.keys() == manifest.arrays.keys(), f"{WEIGHTS} holds other arrays than {MANIFEST} names")
    arrays = {name: _unpack(packed[name], spec, name) for name, spec in manifest.arrays.items()}
    programs = {
        name: _decompress(
            _read_file(directory, program_file(name), manifest.files[program_file(name)]), spec.bytes, name
        )
        for name, spec in manifest.programs.items()
    }
    return Artifact(manifest, arrays, programs)


def size_on_disk(directory: pathlib.Path) -> int:
    """Bytes of all files of an artifact."""
    return sum(file.stat().st_size for file in pathlib.Path(directory).iterdir())


def _unpack(packed: np.ndarray, spec: ArraySpec, name: str) -> np.ndarray:
    where = f"{WEIGHTS}: {name!r}"
    if spec.encoding == "float32":
        require(packed.dtype == np.float32, f"{where} is {packed.dtype}, but {MANIFEST} says float32")
        require(packed.shape == spec.shape, f"{where} has shape {packed.shape}, but {MANIFEST} says {spec.shape}")
        require(bool(np.isfinite(packed).all()), f"{where} holds values that are not finite")
        return packed
    require(
        packed.dtype == np.uint8 and packed.ndim == 1, f"{where} is not packed, but {MANIFEST} says {spec.encoding}"
    )
    try:
        return unpack(packed, spec.encoding, spec.shape)
    except ArtifactError as error:
        raise ArtifactError(f"{where}: {error}") from None


def _size_of(directory: pathlib.Path, name: str, expected: int | None) -> int:
    path = directory / name
    try:
        status = path.lstat()
    except OSError:
        raise ArtifactError(f"{path} is missing") from None
    require(stat.S_ISREG(status.st_mode), f"{path} is not a plain file")
    if expected is not None:
        require(
            status.st_size == expected,
            f"{path} has {status.st_size} bytes instead of {expected}: it was changed or cut short",
        )
    limit = manifests.MAX_BYTES[name if name in manifests.MAX_BYTES else "program"]
    require(status.st_size <= limit, f"{path} has {status.st_size} bytes; at most {limit} are allowed")
    return status.st_size


def _read_file(directory: pathlib.Path, name: str, spec: FileSpec | None) -> bytes:
    path = directory / name
    size = _size_of(directory, name, spec.bytes if spec else None)
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None
    require(len(data) == size, f"{path} changed while it was read")
    if spec is not None:
        digest = hashlib.sha256(data).hexdigest()
        require(
            digest == spec.sha256, f"{path} was changed or damaged: its checksum does not fit; deploy the run again"
        )
    return data


def _decompress(data: bytes, expected: int, name: str) -> bytes:
    where = program_file(name)
    decompressor = zlib.decompressobj(wbits=31)  # gzip
    try:
        program = decompressor.decompress(data, expected + 1)  # never more than the manifest allows
    except zlib.error as error:
        raise ArtifactError(f"{where} is not a gzip file: {error}") from None
    complete = decompressor.eof and not decompressor.unused_data and len(program) == expected
    require(complete, f"{where} does not hold the {expected} bytes that {MANIFEST} says")
    return program
