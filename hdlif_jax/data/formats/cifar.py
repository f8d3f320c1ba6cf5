"""CIFAR-10 and CIFAR-100 in the binary and in the Python layout (Krizhevsky 2009)."""

import io
import pickle
from typing import Any

import numpy as np

from hdlif_jax.data.errors import DataError, damaged

PIXELS = 3 * 32 * 32


def parse_binary(content: bytes, where: str, limits: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Records of one byte per label and then the red, green and blue plane.

    Args:
      content: the file's bytes.
      where: its name, for messages.
      limits: number of classes of each label byte: (10,) for CIFAR-10, (20, 100) for CIFAR-100.

    Returns:
      Images `[N, 32, 32, 3]` and labels `[N, len(limits)]`, uint8.

    Raises:
      DataError: a truncated file or a label out of range.
    """
    length = len(limits) + PIXELS
    if not content or len(content) % length:
        whole = len(content) // length * length
        raise damaged(where, whole, f"{len(content) - whole} bytes of a {length}-byte record; the file is cut short")
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    labels = records[:, : len(limits)]
    bad = np.argwhere(labels >= np.array(limits))
    if len(bad):
        record, column = (int(index) for index in bad[0])
        raise damaged(
            where,
            record * length + column,
            f"label {labels[record, column]} of record {record} is outside 0…{limits[column] - 1}",
        )
    return _to_images(records[:, len(limits) :]), labels


def parse_python(
    content: bytes, where: str, keys: tuple[str, ...], limits: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict with `data` `[N, 3072]` and lists of labels; arguments and results as `parse_binary`.

    Args:
      content: the file's bytes.
      where: its name, for messages.
      keys: of the labels: ("labels",) for CIFAR-10, ("coarse_labels", "fine_labels") for CIFAR-100.
      limits: number of classes of each.

    Raises:
      DataError: not such a pickle, a label out of range, or a pickle that wants to run code.
    """
    table = unpickle(content, where)
    for key in ("data", *keys):
        if key not in table:
            raise damaged(where, 0, f"has no entry {key!r} among {', '.join(sorted(table))}; expected a CIFAR batch")
    data = table["data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS:
        found = f"{data.dtype}{list(data.shape)}" if isinstance(data, np.ndarray) else type(data).__name__
        raise damaged(where, 0, f"data is {found}; expected uint8[N, {PIXELS}]")
    columns = []
    for key, limit in zip(keys, limits, strict=True):
        column = np.asarray(table[key])
        if column.shape != data.shape[:1]:
            raise damaged(where, 0, f"{key} has shape {column.shape} for {len(data)} images")
        bad = np.flatnonzero((column < 0) | (column >= limit))
        if bad.size:
            raise damaged(where, 0, f"{key}[{bad[0]}]={column[bad[0]]} is outside 0…{limit - 1}")
        columns.append(column.astype(np.uint8))
    return _to_images(data), np.stack(columns, 1)


def unpickle(content: bytes, where: str) -> dict[str, Any]:
    """A pickled dict of numbers, strings and arrays, from Python 2 or 3; nothing else is let in.

    Raises:
      DataError: anything else, such as a pickle that calls a function.
    """
    stream = io.BytesIO(content)
    try:
        table = _ArraysOnly(stream, encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise damaged(where, stream.tell(), f"is not a readable pickle ({error})") from error
    if not isinstance(table, dict):
        raise damaged(where, 0, f"holds a {type(table).__name__}; expected a dict")
    return {str(key): value for key, value in table.items()}


class _ArraysOnly(pickle.Unpickler):
    """Unpickling can run any code; what arrays need is all that is allowed."""

    ALLOWED = frozenset(
        [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
        + [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise DataError(f"it wants to call {module}.{name}; only arrays, numbers and strings are accepted")
        if name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        return super().find_class(module, name)


def _to_images(planes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
