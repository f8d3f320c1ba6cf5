"""The folded network as data: a short list of operations on named values. No Flax, no arrays."""

import dataclasses
from typing import Literal

NeuronKind = Literal["lif", "hd-lif", "parallel"]


@dataclasses.dataclass(frozen=True)
class Conv:
    """Convolution, then a per-channel affine: integer levels by integer weights where both are there.

    Arrays: `kernel` `[H, W, C_in, C_out]` (int8 −1/0/1, or float32 with the scale inside), `scale` and `bias`, each
    `[1, C_out]`, or `[T, C_out]` where a Mem-BN went in.

    Attributes:
      name: the module's path, prefix of its arrays, and name of its output.
      source: name of its input.
      stride: in both directions.
      padding: rows and columns of zeros on every side.
      integer: whether its input and its kernel are integers that fit int8.
    """

    name: str
    source: str
    stride: int
    padding: int
    integer: bool


@dataclasses.dataclass(frozen=True)
class Linear:
    """Fully connected layer; arrays and attributes as `Conv`, with a kernel `[C_in, C_out]`."""

    name: str
    source: str
    integer: bool


@dataclasses.dataclass(frozen=True)
class Neuron:
    """A spiking layer.

    Arrays, each `[T, 1]` or `[T, C]`: `threshold` θ_t, but for parallel neurons `decay` λ_t, and where a Mem-BN could
    not be moved into the layer before, `current_scale` α*_t and `current_shift` −β*_t (Eq. 8).

    Attributes:
      name: the module's path.
      source: name of its input.
      kind: its dynamics.
      max_level: 2ⁿ − 1 ≤ 255, and the output is uint8 levels (0 or 1 for LIF); None for float spikes.
      level_size: what one level stands for, s of Eq. 4 or θ of LIF; 1 for float spikes.
    """

    name: str
    source: str
    kind: NeuronKind
    max_level: int | None
    level_size: float


@dataclasses.dataclass(frozen=True)
class Attention:
    """SECA (Eq. 9); arrays `kernel` `[K]` and `bias` `[1]`."""

    name: str
    source: str


@dataclasses.dataclass(frozen=True)
class Add:
    """Sum of two currents."""

    name: str
    source: str
    other: str


@dataclasses.dataclass(frozen=True)
class Pool:
    """Pooling without parameters.

    Attributes:
      name: the module's path.
      source: name of its input.
      kind: "average" over 2×2; "sum" over 2×2, an average of levels that stay integers, and the consumer divides by 4;
        "maximum" over 3×3 with stride 2; "global-average" over the image; "flatten".
    """

    name: str
    source: str
    kind: Literal["average", "sum", "maximum", "global-average", "flatten"]


Node = Conv | Linear | Neuron | Attention | Add | Pool


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network in two parts, each a list of nodes in the order of computation.

    Attributes:
      num_steps: T.
      input_shape: (H, W, C) of one input at one time-step.
      num_classes: width of the logits.
      encoder: from the value "input" to the value `current`; without memory, so a static image passes it once.
      body: from `current` to the logits, the output of the last node.
      current: name of the value between the two.
    """

    num_steps: int
    input_shape: tuple[int, int, int]
    num_classes: int
    encoder: tuple[Node, ...]
    body: tuple[Node, ...]
    current: str

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The spiking layers, first to last."""
        return tuple(node for node in self.encoder + self.body if isinstance(node, Neuron))


def sources(node: Node) -> tuple[str, ...]:
    """Names of the values that a node reads."""
    return (node.source, node.other) if isinstance(node, Add) else (node.source,)
