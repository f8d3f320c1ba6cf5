"""N-MNIST recordings: 40 bits an event (Orchard et al. 2015).

From the highest bit: x (8), y (8), polarity (1), time in microseconds (23). An event with y = 240 is no pixel's: it
says that the clock overflowed, and 2¹³ µs are added to the times after it.
"""

import numpy as np

from hdlif_jax.data.errors import damaged
from hdlif_jax.data.events import Events
from hdlif_jax.data.recordings import Recording

SENSOR = (34, 34)
EVENT_BYTES = 5
OVERFLOW_ROW = 240
OVERFLOW_TIME = 1 << 13


def parse_nmnist(content: bytes, where: str) -> Recording:
    """The recording of a file's bytes.

    Args:
      content: of the `.bin` file, some 20 kB.
      where: its name, for messages.

    Raises:
      DamagedError: a truncated or empty file; events outside the 34×34 pixels or out of order are met when it is read.
    """
    if len(content) % EVENT_BYTES:
        whole = len(content) // EVENT_BYTES * EVENT_BYTES
        raise damaged(
            where, whole, f"{len(content) - whole} bytes of a {EVENT_BYTES}-byte event; the file is cut short"
        )
    if not content:
        raise damaged(where, 0, "the file is empty; expected 5-byte events")
    raw = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    overflow = raw[:, 1] == OVERFLOW_ROW
    time = ((raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]) + OVERFLOW_TIME * np.cumsum(overflow)
    pixel = np.flatnonzero(~overflow)
    kept = raw[pixel]
    events = Events(time[pixel], kept[:, 0].astype(np.int16), kept[:, 1].astype(np.int16), kept[:, 2] >= 128)
    first, last = (int(events.time[0]), int(events.time[-1])) if len(pixel) else (0, 0)
    return Recording(
        where, SENSOR, len(pixel), first, last, [events], lambda index: f"byte {int(pixel[index]) * EVENT_BYTES}"
    )
