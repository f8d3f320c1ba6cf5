"""Pooling: what it is over, and of what."""

from typing import Any, NamedTuple

from hdlif_jax.interop.torch.layers import LIBRARIES, SILENT, is_neuron, leaves_of

POOLS = {"MaxPool2d": "maximum", "AvgPool2d": "average", "AdaptiveAvgPool2d": "average"}
WINDOW = ("kernel_size", "stride", "padding")


class Pool(NamedTuple):
    """A pooling.

    Attributes:
      kind: "maximum" or "average".
      reads: "spikes" or "currents".
      window: size, stride and padding; None for one that covers what it reads.
    """

    kind: str
    reads: str
    window: tuple[Any, ...] | None

    def __str__(self) -> str:
        if self.window is None:
            return f"{self.kind} of {self.reads}"
        size, stride, padding = self.window
        return f"{self.kind} of {self.reads} over {size}×{size} with stride {stride} and padding {padding}"


def check_pools(theirs: list[Pool] | None, ours: list[Pool]) -> None:
    """Raises ValueError where poolings differ; not where one covers what it reads and the other may."""
    if theirs is None:
        return
    alike = [
        one[:2] == other[:2] and (one.window == other.window or None in (one.window, other.window))
        for one, other in zip(theirs, ours, strict=False)
    ]
    if len(theirs) != len(ours) or not all(alike):
        told = [", ".join(map(str, pools)) or "nothing" for pools in (theirs, ours)]
        raise ValueError(f"its pooling is {told[0]}, and the network's is {told[1]}")


def pools_of(source: Any) -> list[Pool] | None:
    """The pooling of a living network, one after the other; None where its code cannot be seen."""
    if not hasattr(source, "modules"):
        return None
    found: list[Pool] = []
    before = "currents"
    for _, part in leaves_of(source, ""):
        kind, library = type(part).__name__, type(part).__module__.split(".")[0]
        if library not in LIBRARIES:
            return None
        if kind in POOLS:
            found.append(Pool(POOLS[kind], before, None if kind.startswith("Adaptive") else _window(part)))
        if kind in POOLS or kind not in SILENT:
            before = "spikes" if is_neuron(part) else "currents"
    own = any(type(part).__module__.split(".")[0] not in LIBRARIES for part in source.modules())
    return None if own else found


def _window(pool: Any) -> tuple[Any, ...]:
    """Size, stride and padding, each one number where both directions have the same."""
    sides = [(side, side) if isinstance(side, int) else tuple(side) for side in map(vars(pool).get, WINDOW)]
    return tuple(first if first == second else (first, second) for first, second in sides)
