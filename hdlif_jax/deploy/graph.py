"""The folded network as data: a short list of operations on named values. No Flax, no arrays.

A node says what is computed; what a neuron or a memoryless layer computes it holds as a pure function of its arrays, so
that nothing that runs a graph has to know the kinds of neurons there are.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

NeuronState = Any  #: a pytree of float32 arrays [B, ...]
Fields = Mapping[str, jax.Array]  #: the arrays of one node
#: Dynamics, `(fields, state, current) -> (state, levels)`.
NeuronStep = Callable[[Fields, NeuronState, jax.Array], tuple[NeuronState, jax.Array]]


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
      reads: name of the neuron whose spikes, pooled or not, it reads; None for currents.
    """

    name: str
    source: str
    stride: int
    padding: int
    integer: bool
    reads: str | None = None


@dataclasses.dataclass(frozen=True)
class Linear:
    """Fully connected layer; arrays and attributes as `Conv`, with a kernel `[C_in, C_out]`."""

    name: str
    source: str
    integer: bool
    reads: str | None = None


@dataclasses.dataclass(frozen=True)
class Neuron:
    """A spiking layer.

    Arrays by the names that its step reads, `[1 or T, ...]`: a row for every time-step, or one for all.

    Attributes:
      name: the module's path.
      source: name of its input, a current.
      kind: name of its dynamics, such as "lif"; only exports to other formats look at it.
      step: `(fields, state, current [B, ...]) -> (state, spikes)`. The fields are the rows of a time-step: a row of one
        entry is a scalar, one of C entries has the shape `[1, ..., C]`, to broadcast against the current.
      start: the state before the first step, from a current `[B, ...]` whose shape alone matters. An empty state is no
        memory.
      max_level: the output is uint8 levels 0…`max_level` ≤ 255 (0 or 1 for binary spikes); None for float spikes.
      level_size: what one level stands for, s of Eq. 4 or the height of a binary spike; 1 for float spikes.
      bits: n of quantised spikes; None for binary and float ones.
      operations: NOPs of a neuron and step.
      traits: what its kind leaves open, such as the reset of a LIF neuron; only exports to other formats look at it.
    """

    name: str
    source: str
    kind: str
    step: NeuronStep
    start: Callable[[jax.Array], NeuronState]
    max_level: int | None
    level_size: float
    bits: int | None
    operations: int
    traits: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Function:
    """A layer without memory: attention, pooling, an affine map that has no convolution before it.

    Attributes:
      name: the module's path.
      source: name of its input.
      kind: name of what it computes, such as "average"; only exports to other formats look at it.
      apply: `(fields, x [N, ...]) -> y [N, ...]`; the fields are its arrays as they are stored.
    """

    name: str
    source: str
    kind: str
    apply: Callable[[Fields, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Add:
    """Sum of two currents."""

    name: str
    source: str
    other: str


Node = Conv | Linear | Neuron | Function | Add  #: of a graph


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network in two parts, each a list of nodes in the order of computation.

    Attributes:
      num_steps: T.
      input_shape: of one input at one time-step, such as (H, W, C).
      num_classes: width of the logits.
      encoder: from the value "input" to the value `current`; without memory, so a static input passes it once.
      body: from `current` to `logits`.
      current: name of the value between the two.
      logits: name of the value that the network gives.
    """

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int
    encoder: tuple[Node, ...]
    body: tuple[Node, ...]
    current: str
    logits: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order of computation."""
        return self.encoder + self.body

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The spiking layers, first to last."""
        return tuple(node for node in self.nodes if isinstance(node, Neuron))

    @property
    def synapses(self) -> tuple[Conv | Linear, ...]:
        """The convolutions and linear layers, first to last."""
        return tuple(node for node in self.nodes if isinstance(node, Conv | Linear))


def sources(node: Node) -> tuple[str, ...]:
    """Names of the values that a node reads."""
    return (node.source, node.other) if isinstance(node, Add) else (node.source,)
