"""The order of the examples: a random permutation of each epoch, of which any place can be computed by itself.

Swap-or-not (Hoang, Morris and Rogaway 2012): a round pairs x with K − x mod N and swaps the two or not, by a random
bit of the pair. Nothing is stored, so a run goes on anywhere, and the device can compute its own indices.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

ROUNDS = 48  # the distance from a uniform permutation falls by a constant factor a round; see the paper's bound


def hash32(values: Any) -> Any:
    """A hash of uint32 values `[N]`, numpy's or JAX's (Prospector's `lowbias32`)."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x7FEB352D)
    values = (values ^ (values >> np.uint32(15))) * np.uint32(0x846CA68B)
    return values ^ (values >> np.uint32(16))


Body = Callable[[Any, Any], Any]
Loop = Callable[[Body, Any], Any]  # as `loop_in_python`


def loop_in_python(body: Body, places: Any) -> Any:
    """`places = body(round, places)` for all rounds."""
    for round_ in range(ROUNDS):
        places = body(np.uint32(round_), places)
    return places


def permuted(places: Any, epochs: Any, size: int, seed: int, loop: Loop = loop_in_python) -> Any:
    """Which example comes at a place of an epoch's order.

    Args:
      places: `[B]` uint32 in 0…size−1, numpy's or JAX's; the result is of the same kind.
      epochs: `[B]` or `[1]` uint32.
      size: N, the number of examples, below 2³¹.
      seed: of the run.
      loop: runs the rounds; on a device a loop that compiles faster.

    Returns:
      `[B]` uint32; over all places of an epoch a permutation of 0…N−1.
    """
    if not 1 <= size < 2**31:
        raise ValueError(f"size={size} must be at least 1 and below 2³¹ examples")
    modulus = np.uint32(size)
    key = hash32(epochs ^ hash32(np.array([seed & 0xFFFFFFFF], np.uint32) + np.uint32(0x9E3779B9)))

    def swap_or_not(round_: Any, places: Any) -> Any:
        round_key = hash32(key + round_)
        partner = (round_key % modulus + (modulus - places)) % modulus
        larger = places + (places < partner).astype(np.uint32) * (partner - places)  # of the pair
        swap = hash32(larger + hash32(round_key)) >> np.uint32(31)
        return places + swap * (partner - places)  # modulo 2³², which is as good as the difference itself

    return loop(swap_or_not, places)


def batch_indices(steps: Any, size: int, batch_size: int, seed: int, loop: Loop = loop_in_python) -> Any:
    """Indices of the examples of a step's batch, a function of (seed, step) alone.

    The last, incomplete batch of an epoch is left out: another order next time shows its examples.

    Args:
      steps: `[1]` uint32, the step, numpy's or JAX's.
      size: N.
      batch_size: B.
      seed: of the run.
      loop: as in `permuted`.

    Returns:
      `[B]` uint32.
    """
    steps_per_epoch = np.uint32(size // batch_size)
    epoch, index = steps // steps_per_epoch, steps % steps_per_epoch
    places = index * np.uint32(batch_size) + np.arange(batch_size, dtype=np.uint32)
    return permuted(places, epoch, size, seed, loop)
