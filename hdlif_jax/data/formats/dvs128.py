"""DVS128 recordings as of DVS-CIFAR10 (Li et al. 2017): AEDAT 2.0, or the .mat files of the `dat2mat` script.

Both are turned upright, so that the same recording gives the same events whichever file it is read from.
"""

import functools
import io
import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from hdlif_jax.data import recordings
from hdlif_jax.data.errors import DamagedError, damaged
from hdlif_jax.data.events import Events
from hdlif_jax.data.extras import needed
from hdlif_jax.data.recordings import Recording

SENSOR = (128, 128)
EVENT_BYTES = 8
MAGIC = b"#!AER-DAT2.0"
SPECIAL = 0x8000  # marks what is no pixel's event, such as a synchronisation pulse


def open_aedat(path: pathlib.Path | str) -> Recording:
    """An AEDAT 2.0 file as a recording that is read as it is needed, never as a whole.

    Comment lines, then per event a 32-bit address and a 32-bit time in microseconds, both big-endian. In the address,
    bit 0 is OFF, bits 1-7 count columns from the right, bits 8-14 rows, on a camera that was mounted sideways.

    Raises:
      DamagedError: another format, a truncated file, or no events; damage further inside is met while it is read.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        start = _first_event(file, path.stat().st_size, str(path))
    return _recording(np.memmap(path, ">u4", "r", start), str(path), start)


def parse_aedat(content: bytes, where: str) -> Recording:
    """As `open_aedat`, of a file's bytes.

    Args:
      content: of the file.
      where: its name, for messages.

    Raises:
      DamagedError: as `open_aedat`.
    """
    start = _first_event(io.BytesIO(content), len(content), where)
    return _recording(np.frombuffer(content, ">u4", offset=start), where, start)


def parse_mat(content: bytes, where: str) -> Recording:
    """A MATLAB file with the variable `out1`, `[N, 6]`: time in microseconds, unused, unused, x, y, polarity.

    Args:
      content: of the file.
      where: its name, for messages.

    Raises:
      DamagedError: not such a file; events outside the 128×128 pixels or out of order are met when it is read.
    """
    matlab = needed("scipy.io")
    try:
        variables = matlab.loadmat(io.BytesIO(content), variable_names=["out1"])
    except Exception as error:  # scipy raises whatever its parser stumbled over
        raise damaged(where, 0, f"is not a readable MATLAB file ({error})") from error
    table = variables.get("out1")
    if table is None or table.ndim != 2 or table.shape[1] != 6 or not len(table):
        found = "no variable out1" if table is None else f"out1 of shape {table.shape}"
        raise damaged(where, 0, f"holds {found}; expected out1 with one row an event and 6 columns")
    if table.dtype.kind not in "biuf" or not np.isfinite(table).all():
        raise damaged(where, 0, f"out1 holds what is no number, in {table.dtype}; expected finite numbers")
    time, _, _, x, y, polarity = np.round(table.T.astype(np.float64)).astype(np.int64)
    events = Events(time, SENSOR[1] - 1 - y, x, polarity)
    return Recording(
        where, SENSOR, len(time), int(time[0]), int(time[-1]), [events], lambda index: f"row {index} of out1"
    )


def _first_event(file: BinaryIO, size: int, where: str) -> int:
    """Position of the first event; checks what comes before it and the length of the file."""
    header = file.read(len(MAGIC))
    if header != MAGIC:
        raise damaged(where, 0, f"begins with {header!r}; expected {MAGIC.decode()} (AEDAT 2.0)")
    start = _skip_comments(file)
    rest = (size - start) % EVENT_BYTES
    if rest:
        raise damaged(where, size - rest, f"{rest} bytes of an {EVENT_BYTES}-byte event; the file is cut short")
    if size == start:
        raise damaged(where, start, "the header is not followed by any event")
    return start


def _skip_comments(file: BinaryIO) -> int:
    """Position of the first byte behind the lines that begin with #."""
    file.seek(0)
    while True:
        position = file.tell()
        line = file.readline()
        # A first event's address below 2^16 begins with a zero byte: it is never taken for a comment.
        if not re.match(rb"#.*\r?\n", line):
            return position


def _recording(words: np.ndarray, where: str, start: int) -> Recording:
    # Special events are not counted, so the pixels' must be counted once before frames of equal count can be cut.
    chunks = _Chunks(words.reshape(-1, 2), where, start)
    count, first, last = 0, None, 0
    for begin, pixel in chunks.pixels():
        if pixel.size:
            first = int(chunks.raw[begin + pixel[0], 1]) if first is None else first
            last = int(chunks.raw[begin + pixel[-1], 1])
        count += pixel.size
    return Recording(where, SENSOR, count, first or 0, last, chunks, functools.partial(_locate, chunks))


class _Chunks:
    def __init__(self, raw: np.ndarray, where: str, start: int) -> None:
        self.raw, self.where, self.start = raw, where, start

    def pixels(self) -> Iterator[tuple[int, np.ndarray]]:
        """The pieces: where each begins, and which of its events are pixels'."""
        for begin in range(0, len(self.raw), recordings.CHUNK):
            yield begin, np.flatnonzero(self.raw[begin : begin + recordings.CHUNK, 0] & SPECIAL == 0)

    def __iter__(self) -> Iterator[Events]:
        for begin, pixel in self.pixels():
            piece = np.asarray(self.raw[begin : begin + recordings.CHUNK], np.int64)
            foreign = np.flatnonzero(piece[:, 0] >> 16)
            if foreign.size:
                offset = self.start + (begin + int(foreign[0])) * EVENT_BYTES
                raise DamagedError(
                    f"{self.where}, byte {offset}: address {piece[foreign[0], 0]:#x} has more than 16 bits; "
                    "expected the addresses of a DVS128 camera"
                )
            address, time = piece[pixel].T
            column, row, off = address >> 1 & 0x7F, address >> 8 & 0x7F, address & 1
            yield Events(time, (127 - row).astype(np.int16), (127 - column).astype(np.int16), off == 0)


def _locate(chunks: _Chunks, index: int) -> str:
    for begin, pixel in chunks.pixels():
        if index < len(pixel):
            return f"byte {chunks.start + (begin + int(pixel[index])) * EVENT_BYTES}"
        index -= len(pixel)
    return f"byte {chunks.start + len(chunks.raw) * EVENT_BYTES}"
