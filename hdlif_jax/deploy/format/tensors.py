"""The safetensors format in the subset that artifacts use, read strictly: numpy is all it needs.

A file is the length of a header (8 bytes, little-endian), the header (JSON: dtype, shape, offsets by name), raw bytes.
Everything that the header claims is compared with the file before an array is made, and arrays are views of the bytes.
"""

import json
from typing import Any

import numpy as np

from hdlif_jax.deploy.format.errors import ArtifactError, require

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}
MAX_HEADER = 4_000_000  # bytes; a network of a thousand layers has 0.5 MB
MAX_DIMENSIONS = 8


def dump(arrays: dict[str, np.ndarray]) -> bytes:
    """Serialises float32 and uint8 arrays; equal arrays give equal bytes."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {}
    parts, offset = [], 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):  # as the library orders them
        part = np.ascontiguousarray(arrays[name]).tobytes()
        dtype, shape = names[arrays[name].dtype], list(arrays[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def parse(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Reads what `dump` or the safetensors library wrote.

    Args:
      data: the file.
      name: of the file, for messages.

    Returns:
      Read-only views into `data`.

    Raises:
      ArtifactError: anything that is not exactly right.
    """
    require(len(data) >= 8, f"{name} is cut short: {len(data)} bytes")
    length = int.from_bytes(data[:8], "little")
    require(length <= MAX_HEADER, f"{name} claims a header of {length} bytes; at most {MAX_HEADER} are allowed")
    require(8 + length <= len(data), f"{name} is cut short: its header needs {length} bytes")
    header = parse_json(data[8 : 8 + length], name)
    require(isinstance(header, dict), f"{name}: the header must be an object")
    header.pop("__metadata__", None)
    content = memoryview(data)[8 + length :]
    arrays: dict[str, np.ndarray] = {}
    end_of_last = 0
    for key, entry in sorted(header.items(), key=lambda item: _offsets(item[1], f"{name}: {item[0]!r}")):
        where = f"{name}: {key!r}"
        begin, end = _offsets(entry, where)
        dtype, shape = entry.get("dtype"), entry.get("shape")
        require(isinstance(dtype, str) and dtype in DTYPES, f"{where} has dtype {dtype!r}; allowed are F32 and U8")
        require(is_shape(shape), f"{where} has no valid shape: {str(shape)[:80]}")
        size = DTYPES[dtype].itemsize
        for length_of_axis in shape:
            size *= length_of_axis
        require(begin == end_of_last, f"{where} begins at byte {begin} where {end_of_last} was expected")
        require(end - begin == size, f"{where} of shape {shape} needs {size} bytes but has {end - begin}")
        require(end <= len(content), f"{where} ends at byte {end}, behind the end of the file")
        arrays[key] = np.frombuffer(content[begin:end], DTYPES[dtype]).reshape(shape)
        end_of_last = end
    require(end_of_last == len(content), f"{name} has {len(content) - end_of_last} bytes that belong to no array")
    return arrays


def parse_json(data: bytes, name: str) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN or infinity, no deep nesting.

    Raises:
      ArtifactError: anything else.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        require(len(set(keys)) == len(keys), f"{name} has a key twice")
        return dict(pairs)

    def no_constant(text: str) -> None:
        raise ArtifactError(f"{name} holds {text}, which is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArtifactError(f"{name} is not JSON: {str(error)[:80]}") from None
    except ArtifactError:
        raise
    except ValueError as error:  # integers of thousands of digits
        raise ArtifactError(f"{name} is not JSON: {str(error)[:80]}") from None


def is_shape(shape: Any) -> bool:
    """Whether a JSON value is a list of a few non-negative integers."""
    return (
        isinstance(shape, list)
        and len(shape) <= MAX_DIMENSIONS
        and all(type(length) is int and 0 <= length < 2**31 for length in shape)
    )


def _offsets(entry: Any, where: str) -> tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    valid = isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)
    require(valid, f"{where} has no valid data_offsets")
    begin, end = offsets  # type: ignore[misc]
    require(0 <= begin <= end, f"{where} has offsets {begin} and {end}")
    return begin, end
