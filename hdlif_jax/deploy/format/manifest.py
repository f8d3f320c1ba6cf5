"""manifest.json: what is in an artifact, checked field by field before anything else is read."""

import dataclasses
import hashlib
import json
from typing import Any, Literal, get_args

from hdlif_jax.deploy.format.errors import require
from hdlif_jax.deploy.format.pack import Packing, packed_size
from hdlif_jax.deploy.format.tensors import is_shape, parse_json

FORMAT = "hdlif_jax artifact"
VERSION = 1  # raised when an older reader would misunderstand a newer artifact
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
MAX_BYTES = {MANIFEST: 8_000_000, WEIGHTS: 4_000_000_000, "program": 16_000_000}
MAX_PROGRAM = 64_000_000  # bytes of a decompressed program
MAX_STEPS, MAX_CLASSES, MAX_WEIGHTS = 10_000, 1_000_000, 4_000_000_000
PROGRAM_NAMES = ("rollout-integer", "rollout-float", "step-integer", "step-float")
InputKind = Literal["image", "sequence"]  #: static, or a frame for each time-step
InputType = Literal["uint8", "float32"]
Arithmetic = Literal["integer", "float"]  #: of the layers that read levels of spikes


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One array of the network.

    Attributes:
      shape: of the array, unpacked.
      encoding: how the bytes hold it.
    """

    shape: tuple[int, ...]
    encoding: Packing


@dataclasses.dataclass(frozen=True)
class ProgramSpec:
    """One exported program.

    Attributes:
      bytes: of the StableHLO, decompressed.
      calling_convention: its version in jax.export.
      jax: version that exported it.
    """

    bytes: int
    calling_convention: int
    jax: str


@dataclasses.dataclass(frozen=True)
class FileSpec:
    """Size and SHA-256 of one file."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """An artifact's description of itself.

    Attributes:
      num_steps: T.
      input_kind: "image", a static input shown at every step, or "sequence" of T frames.
      input_shape: of one input at one time-step, such as (H, W, C).
      class_names: one per class, in the order of the logits.
      state: shape of each array that the neurons carry from step to step, without its batch axis. An array is named as
        its neuron, or `"<neuron>.<field>"` where a neuron carries several.
      arrays: by name.
      programs: by name, of `PROGRAM_NAMES`.
      files: by name, all but the manifest.
      platforms: what the programs were lowered for.
      integer_layers: number of layers that compute on integers alone.
      config: of the run, for the reader; nothing depends on it.
      input_type: of the inputs, as the dataset has them: uint8 levels, or float32 in the unit of the training data.
    """

    num_steps: int
    input_kind: InputKind
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    state: dict[str, tuple[int, ...]]
    arrays: dict[str, ArraySpec]
    programs: dict[str, ProgramSpec]
    files: dict[str, FileSpec]
    platforms: tuple[str, ...]
    integer_layers: int
    config: dict[str, Any]
    input_type: InputType = "uint8"

    def facts(self) -> dict[str, Any]:
        """What a reader wants to know of the network."""
        return {
            "steps": self.num_steps,
            "input": f"{self.input_kind} {self.input_type} {self.input_shape}",
            "classes": len(self.class_names),
            "integer layers": self.integer_layers,
        }


def program_file(name: str) -> str:
    """File name of a program."""
    return f"{name}.stablehlo.gz"


def dump(manifest: Manifest) -> bytes:
    """Serialises a manifest, with a checksum of itself; equal manifests give equal bytes."""
    fields = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(manifest)}
    if manifest.input_type == Manifest.input_type:
        del fields["input_type"]  # which readers before it do not know
    return _text(fields | {"sha256": hashlib.sha256(_text(fields)).hexdigest()})


def parse(data: bytes) -> Manifest:
    """Reads and checks a manifest.

    Raises:
      ArtifactError: it is not exactly what `dump` writes, or its values contradict each other.
    """
    fields = parse_json(data, MANIFEST)
    require(isinstance(fields, dict), f"{MANIFEST} must be an object")
    require(fields.get("format") == FORMAT, f"{MANIFEST} is of format {_short(fields.get('format'))}, not {FORMAT!r}")
    version = fields.get("version")
    require(
        version == VERSION and type(version) is int,
        f"{MANIFEST} is of version {_short(version)}; this release reads version {VERSION}: "
        "use the release that wrote it, or deploy the run again",
    )
    checksum = fields.pop("sha256", None)
    require(
        checksum == hashlib.sha256(_text(fields)).hexdigest(),
        f"{MANIFEST} was changed or damaged: its checksum does not fit; deploy the run again",
    )
    del fields["format"], fields["version"]
    names = {field.name for field in dataclasses.fields(Manifest)}
    fields = {"input_type": Manifest.input_type} | fields
    require(fields.keys() == names, f"{MANIFEST} has the wrong fields: {_short(sorted(fields.keys() ^ names))}")
    manifest = Manifest(
        num_steps=_integer(fields["num_steps"], "num_steps", 1, MAX_STEPS),
        input_kind=_choice(fields["input_kind"], "input_kind", get_args(InputKind)),
        input_shape=_shape(fields["input_shape"], "input_shape", ranks=range(1, 8)),
        class_names=_strings(fields["class_names"], "class_names"),
        state={name: _shape(shape, f"state.{_short(name)}") for name, shape in _items(fields, "state")},
        arrays={name: _array(spec, f"arrays.{_short(name)}") for name, spec in _items(fields, "arrays")},
        programs={name: _program(spec, f"programs.{_short(name)}") for name, spec in _items(fields, "programs")},
        files={name: _file(spec, name) for name, spec in _items(fields, "files")},
        platforms=_strings(fields["platforms"], "platforms"),
        integer_layers=_integer(fields["integer_layers"], "integer_layers", 0, 100_000),
        config=dict(_items(fields, "config")),
        input_type=_choice(fields["input_type"], "input_type", get_args(InputType)),
    )
    _check_consistency(manifest)
    return manifest


def _check_consistency(manifest: Manifest) -> None:
    programs = manifest.programs.keys()
    require(programs <= set(PROGRAM_NAMES), f"{MANIFEST}: unknown program {_short(sorted(programs))}")
    require({"rollout-float", "step-float"} <= programs, f"{MANIFEST}: the float programs are missing")
    expected = {WEIGHTS, *map(program_file, programs)}
    require(
        manifest.files.keys() == expected,
        f"{MANIFEST}: files are {_short(sorted(manifest.files))}; need {sorted(expected)}",
    )
    weights = sum(_size(spec.shape) for spec in manifest.arrays.values())
    require(weights <= MAX_WEIGHTS, f"{MANIFEST} declares {weights} weights; at most {MAX_WEIGHTS} are allowed")
    needed = sum(packed_size(_size(spec.shape), spec.encoding) for spec in manifest.arrays.values())
    has = manifest.files[WEIGHTS].bytes
    require(needed <= has, f"{MANIFEST} declares arrays of {needed} bytes, but {WEIGHTS} has {has}")
    require(len(manifest.class_names) <= MAX_CLASSES, f"{MANIFEST} names too many classes")


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, indent=1, allow_nan=False).encode()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _items(fields: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    value = fields[name]
    require(isinstance(value, dict), f"{MANIFEST}: {name} must be an object")
    return sorted(value.items())


def _integer(value: Any, name: str, low: int, high: int) -> int:
    require(type(value) is int and low <= value <= high, f"{MANIFEST}: {name}={_short(value)} must be in {low}…{high}")
    return int(value)


def _choice(value: Any, name: str, allowed: tuple[str, ...]) -> Any:
    require(value in allowed, f"{MANIFEST}: {name}={_short(value)} must be one of {', '.join(allowed)}")
    return value


def _shape(value: Any, name: str, ranks: range = range(9)) -> tuple[int, ...]:
    valid = is_shape(value) and len(value) in ranks and 0 not in value
    require(valid, f"{MANIFEST}: {name}={_short(value)} is not a shape")
    return tuple(value)


def _strings(value: Any, name: str) -> tuple[str, ...]:
    valid = isinstance(value, list) and len(value) > 0 and all(isinstance(item, str) for item in value)
    require(valid, f"{MANIFEST}: {name}={_short(value)} must be a list of strings")
    return tuple(value)


def _record(value: Any, name: str, fields: set[str]) -> dict[str, Any]:
    valid = isinstance(value, dict) and value.keys() == fields
    require(valid, f"{MANIFEST}: {name}={_short(value)} must have the fields {', '.join(sorted(fields))}")
    return dict(value)


def _array(value: Any, name: str) -> ArraySpec:
    record = _record(value, name, {"shape", "encoding"})
    encoding = _choice(record["encoding"], f"{name}.encoding", get_args(Packing))
    return ArraySpec(_shape(record["shape"], f"{name}.shape"), encoding)


def _program(value: Any, name: str) -> ProgramSpec:
    record = _record(value, name, {"bytes", "calling_convention", "jax"})
    require(isinstance(record["jax"], str), f"{MANIFEST}: {name}.jax must be a string")
    return ProgramSpec(
        _integer(record["bytes"], f"{name}.bytes", 1, MAX_PROGRAM),
        _integer(record["calling_convention"], f"{name}.calling_convention", 1, 10_000),
        record["jax"],
    )


def _file(value: Any, name: str) -> FileSpec:
    allowed = {WEIGHTS, *map(program_file, PROGRAM_NAMES)}  # and so no path, whatever it looks like
    require(name in allowed, f"{MANIFEST}: an artifact has no file {_short(name)}; it has {', '.join(sorted(allowed))}")
    record = _record(value, f"files.{name}", {"bytes", "sha256"})
    digest = record["sha256"]
    valid = isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    require(valid, f"{MANIFEST}: files.{name}.sha256 is not a SHA-256")
    limit = MAX_BYTES[WEIGHTS if name == WEIGHTS else "program"]
    return FileSpec(_integer(record["bytes"], f"files.{name}.bytes", 1, limit), digest)
