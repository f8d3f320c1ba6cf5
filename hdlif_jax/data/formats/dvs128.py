"""DVS128 recordings as of DVS-CIFAR10 (Li et al. 2017): AEDAT 2.0, or the .mat files of the `dat2mat` script.

Both are turned upright, so that the same recording gives the same events whichever file it is read from.
"""

import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from hdlif_jax.data import events as _events
from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.events import Events, Recording, check_events, recording_of
from hdlif_jax.data.extras import needed

SENSOR = (128, 128)
EVENT_BYTES = 8
MAGIC = b"#!AER-DAT2.0"
SPECIAL = 0x8000  # marks what is no pixel's event, such as a synchronisation pulse


def open_aedat(path: pathlib.Path | str) -> Recording:
    """An AEDAT 2.0 file as a recording that is read as it is needed, never as a whole.

    Comment lines, then per event a 32-bit address and a 32-bit time in microseconds, both big-endian. In the address,
    bit 0 is OFF, bits 1-7 count columns from the right, bits 8-14 rows, on a camera that was mounted sideways.

    Raises:
      DataError: another format, a truncated file, or no events; damage further inside is met while it is read.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(len(MAGIC))
        if header != MAGIC:
            raise damaged(path, 0, f"begins with {header!r}; expected {MAGIC.decode()} (AEDAT 2.0)")
        start = _skip_comments(file)
        rest = (size - start) % EVENT_BYTES
        if rest:
            raise damaged(path, size - rest, f"{rest} bytes of an {EVENT_BYTES}-byte event; the file is cut short")
        if size == start:
            raise damaged(path, start, "the header is not followed by any event")
    # Special events are not counted, so the pixels' must be counted once before frames of equal count can be cut.
    raw = np.memmap(path, ">u4", "r", start).reshape(-1, 2)
    count, first, last = 0, None, 0
    for begin in range(0, len(raw), _events.CHUNK):
        piece = raw[begin : begin + _events.CHUNK]
        pixel = np.flatnonzero(piece[:, 0] & SPECIAL == 0)
        if pixel.size:
            first = int(piece[pixel[0], 1]) if first is None else first
            last = int(piece[pixel[-1], 1])
        count += pixel.size
    return Recording(str(path), SENSOR, count, first or 0, last, _AedatChunks(path, raw, start))


def parse_mat(path: pathlib.Path | str) -> Recording:
    """A MATLAB file with the variable `out1`, `[N, 6]`: time in microseconds, unused, unused, x, y, polarity.

    Raises:
      DataError: not such a file, or events outside the 128×128 pixels or out of order.
    """
    matlab = needed("scipy.io")
    try:
        content = matlab.loadmat(path, variable_names=["out1"])
    except Exception as error:  # scipy raises whatever its parser stumbled over
        raise damaged(path, 0, f"is not a readable MATLAB file ({error})") from error
    table = content.get("out1")
    if table is None or table.ndim != 2 or table.shape[1] != 6 or not len(table):
        found = "no variable out1" if table is None else f"out1 of shape {table.shape}"
        raise damaged(path, 0, f"holds {found}; expected out1 with one row an event and 6 columns")
    time, _, _, x, y, polarity = np.round(table.T.astype(np.float64)).astype(np.int64)
    events = Events(time, (SENSOR[1] - 1 - y).astype(np.int16), x.astype(np.int16), polarity > 0)
    check_events(events, SENSOR, f"{path}, out1", lambda index: int(index) * 6 * table.dtype.itemsize)
    return recording_of(events, SENSOR, str(path))


def _skip_comments(file: BinaryIO) -> int:
    """Position of the first byte behind the lines that begin with #."""
    file.seek(0)
    while True:
        position = file.tell()
        line = file.readline()
        # A first event's address below 2^16 begins with a zero byte: it is never taken for a comment.
        if not re.match(rb"#.*\r?\n", line):
            return position


class _AedatChunks:
    def __init__(self, path: pathlib.Path, raw: np.ndarray, start: int) -> None:
        self.path, self.raw, self.start = path, raw, start

    def __iter__(self) -> Iterator[Events]:
        after = None
        for begin in range(0, len(self.raw), _events.CHUNK):
            piece = np.asarray(self.raw[begin : begin + _events.CHUNK], np.int64)
            foreign = np.flatnonzero(piece[:, 0] >> 16)
            if foreign.size:
                offset = self.start + (begin + int(foreign[0])) * EVENT_BYTES
                raise DataError(
                    f"{self.path}, byte {offset}: address {piece[foreign[0], 0]:#x} has more than 16 bits; "
                    "expected the addresses of a DVS128 camera"
                )
            pixel = np.flatnonzero(piece[:, 0] & SPECIAL == 0)
            address, time = piece[pixel].T
            column, row, off = address >> 1 & 0x7F, address >> 8 & 0x7F, address & 1
            events = Events(time, (127 - row).astype(np.int16), (127 - column).astype(np.int16), off == 0)

            def offset_of(index: int, pixel: np.ndarray = pixel, begin: int = begin) -> int:
                return self.start + (begin + int(pixel[index])) * EVENT_BYTES

            check_events(events, SENSOR, str(self.path), offset_of, after)
            after = int(time[-1]) if time.size else after
            yield events
