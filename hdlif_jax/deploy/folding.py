"""What the rules of folding work with: the part of a network that is folded so far."""

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy.graph import Add, Conv, Fields, Function, Linear, Neuron, NeuronStep, Node
from hdlif_jax.deploy.register import rule_of
from hdlif_jax.deploy.symbols import Call, Calls
from hdlif_jax.quantize import SpikeQuantizer, WeightKind, binarize, has_levels, standardize, ternarize

QUANTIZERS = {"binary": jax.jit(binarize), "ternary": jax.jit(ternarize)}
MAX_INT8 = 127
MAX_UINT8 = 255


class Value(NamedTuple):
    """What is known of a value while folding.

    Attributes:
      unit: what the network's own value is, in multiples of the folded one; the next layer's scale takes it in.
      max_level: the largest integer, where the values are integers; None for floats.
      neuron: whose spikes they are, pooled or not; None for currents.
    """

    unit: float = 1.0
    max_level: int | None = None
    neuron: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the folded values are the network's own, in float32."""
        return self.unit == 1 and self.max_level is None


class Folding:
    """Nodes, arrays and values of the part of a network that has been folded so far.

    Attributes:
      num_steps: T.
      arrays: of every node by field, in float64 but for integer kernels.
    """

    def __init__(self, num_steps: int, calls: Calls):
        self.num_steps = num_steps
        self.arrays: dict[str, dict[str, np.ndarray]] = {}
        self._values: dict[str, Value] = {"input": Value()}
        self._nodes: list[dict[str, Node]] = []  # of each part, by name
        self._renamed: dict[str, str] = {}  # a BatchNorm's output is its convolution's
        self._num_readers = collections.Counter([calls.logits])
        for call in calls.encoder + calls.body:
            self._num_readers.update(call.sources)

    @property
    def parts(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes of each part of the network, in the order of computation."""
        return tuple(tuple(part.values()) for part in self._nodes)

    def part(self, calls: Iterable[Call]) -> None:
        """Folds the calls of one more part of the network."""
        self._nodes.append({})
        for call in calls:
            sources = tuple(self.name_of(source) for source in call.sources)
            if call.module is None:
                self.emit(Add(call.name, *(self.current(source) for source in sources)))
            else:
                rule_of(call.name, call.module)(self, call.module, call.name, *sources)
                if self.name_of(call.name) not in self._values:
                    raise TypeError(
                        f"the rule of {type(call.module).__name__} gives {call.name} no value; end it in "
                        "folding.neuron, folding.function, folding.norm or folding.identity"
                    )

    def value(self, source: str) -> Value:
        """What is known of a value."""
        return self._values[source]

    def name_of(self, value: str) -> str:
        """The name under which a value of the network is computed."""
        return self._renamed.get(value, value)

    def current(self, source: str) -> str:
        """Name of a value in float32, in the network's own units: of spikes, which are levels, by a node of its own."""
        if self.value(source).is_plain:
            return source
        name = f"{source}.spikes"
        if name not in self._values:
            scale = np.full((1, 1), self.value(source).unit)
            self.function(name, source, "affine", _affine, {"scale": scale, "shift": np.zeros((1, 1))})
        return name

    def emit(self, node: Node, value: Value = Value(), arrays: Mapping[str, Any] | None = None) -> None:
        """Adds a node and its arrays to the network.

        Raises:
          ValueError: the name of an array is no identifier.
        """
        for field in arrays or {}:
            if not field.isidentifier():
                raise ValueError(f"{node.name} has an array {field!r}; name it by an identifier such as 'threshold'")
        self._nodes[-1][node.name] = node
        self._values[node.name] = value
        self.arrays[node.name] = {
            field: array if array.dtype == np.int8 else array.astype(np.float64)
            for field, array in ((field, np.asarray(array)) for field, array in (arrays or {}).items())
        }

    def neuron(
        self,
        name: str,
        source: str,
        cell: nn.NeuronCell,
        step: NeuronStep,
        params: Mapping[str, Any],
        *,
        height: float | None = None,
        kind: str | None = None,
        emits: nn.SpikeInput | None = None,
        operations: int | None = None,
        traits: Mapping[str, str] | None = None,
    ) -> None:
        """Adds a spiking layer.

        Args:
          name: of the call.
          source: of its current.
          cell: the module.
          step: `(params_t, state, current) -> (state, spikes)`, a pure function that computes what the cell does in
            inference; spikes need not be quantised. See `graph.Neuron.step`.
          params: what it reads, by name: scalars, `[T]`, or `[1 or T, ...]` such as `[1, C]` for an entry per channel.
          height: of a binary spike; needed for cells that emit `nn.BINARY`.
          kind: name of the dynamics; the cell's type by default.
          emits: the grid of its spikes, the cell's own by default.
          operations: NOPs of a neuron and step, the cell's own by default.
          traits: see `graph.Neuron`.

        Raises:
          TypeError: spikes of a quantiser that is not the library's.
          ValueError: a grid that cannot be deployed, or a parameter of another shape.
        """
        max_level, level_size, bits = _levels(name, cell.emits if emits is None else emits, height)
        node = Neuron(
            name,
            self.current(source),
            type(cell).__name__ if kind is None else kind,
            step,
            cell.start,
            max_level,
            level_size,
            bits,
            cell.operations if operations is None else operations,
            traits or {},
        )
        arrays = {field: _per_step(array, self.num_steps, f"{name}: {field}") for field, array in params.items()}
        self.emit(node, Value(level_size, max_level, name), arrays)

    def function(
        self,
        name: str,
        source: str,
        kind: str,
        apply: Callable[[Fields, jax.Array], jax.Array],
        arrays: Mapping[str, Any] | None = None,
        value: Value = Value(),
    ) -> None:
        """Adds a layer without memory; see `graph.Function`.

        Args:
          name: of the call.
          source: of its input.
          kind: name of what it computes.
          apply: `(arrays, x [N, ...]) -> y [N, ...]`; x is uint8 levels where `value(source)` has a `max_level`.
          arrays: what it reads, by name.
          value: what is known of y.
        """
        self.emit(Function(name, source, kind, apply), value, arrays)

    def identity(self, name: str, source: str) -> None:
        """Gives a module's output the value of its input."""
        self._renamed[name] = source
        self._num_readers[source] += self._num_readers[name] - 1

    def synapse(
        self, source: str, kernel: "nnx.Param[Any]", weights: WeightKind, bias: Any = None, gain: Any = None
    ) -> "Synapse":
        """Arrays of a convolution or linear layer, and what its node says of them.

        Args:
          source: of its input.
          kernel: `[..., C_in, C_out]` before quantisation.
          weights: how it is quantised.
          bias: `[C_out]`, or None.
          gain: of a standardised kernel, `[C_out]`.
        """
        unit, max_level, reads = self.value(source)
        kernel_, channels = kernel[...], kernel.shape[-1]
        arrays = {"bias": np.broadcast_to(float64(0.0 if bias is None else bias), (1, channels))}
        if not has_levels(weights):
            effective = kernel_ if gain is None else standardize(kernel_, gain[...])
            return Synapse(False, reads, arrays | {"kernel": float64(effective) * unit})
        levels, scale = QUANTIZERS[weights](kernel_)
        arrays["scale"] = np.broadcast_to(float64(scale).reshape(1, -1) * unit, (1, channels))
        integer = max_level is not None and max_level <= MAX_INT8
        return Synapse(integer, reads, arrays | {"kernel": np.asarray(levels).astype(np.int8)})

    def takes_affine(self, source: str, *, per_step: bool = False) -> bool:
        """Whether an affine map of a value can move into the layer that computes it.

        That is a convolution or linear layer whose output nothing else reads. Where the map differs from step to step,
        it must be of the same part of the network: a static input passes the encoder once for all steps.
        """
        parts = self._nodes[-1:] if per_step else self._nodes
        is_synapse = any(isinstance(part.get(source), Conv | Linear) for part in parts)
        return is_synapse and self._num_readers[source] == 1

    def affine(self, source: str, scale: np.ndarray, shift: np.ndarray) -> None:
        """Multiplies the output of a convolution or linear layer by `scale` and adds `shift`, both `[1 or T, C]`."""
        arrays = self.arrays[source]
        kernel = arrays["kernel"]
        if "scale" in arrays or len(scale) > 1:
            arrays["scale"] = arrays.get("scale", np.ones((1, kernel.shape[-1]))) * scale
        else:
            arrays["kernel"] = kernel * scale.reshape((1,) * (kernel.ndim - 1) + (-1,))
        arrays["bias"] = arrays["bias"] * scale + shift

    def norm(self, name: str, source: str, scale: np.ndarray, shift: np.ndarray) -> None:
        """Gives `scale · source + shift`, both `[1, C]`: in the layer before, or else by a node of its own."""
        if self.takes_affine(source):
            self.affine(source, scale, shift)
            self.identity(name, source)
        else:
            self.function(name, source, "affine", _affine, {"scale": scale * self.value(source).unit, "shift": shift})


class Synapse(NamedTuple):
    """What folding finds of a convolution or linear layer.

    Attributes:
      integer: whether its input and its kernel are integers that fit int8.
      reads: name of the neuron whose spikes it reads; None for currents.
      arrays: by field.
    """

    integer: bool
    reads: str | None
    arrays: dict[str, np.ndarray]


def float64(array: Any) -> np.ndarray:
    """An array or variable as numpy, in float64: scales are folded in it and rounded to float32 once."""
    return np.asarray(array[...] if isinstance(array, nnx.Variable) else array, np.float64)


def _affine(fields: Fields, x: jax.Array) -> jax.Array:
    channels = (1,) * (x.ndim - 1) + (-1,)
    return x.astype(jnp.float32) * fields["scale"].reshape(channels) + fields["shift"].reshape(channels)


def _levels(name: str, emits: nn.SpikeInput, height: float | None) -> tuple[int | None, float, int | None]:
    """The largest level, the size of a level, and the bits of quantised spikes."""
    quantizer = emits.quantizer
    if quantizer is None:
        if height is None:
            raise ValueError(f"{name} emits binary spikes; tell folding.neuron their height, such as height=1.0")
        return 1, float(height), None
    if type(quantizer) is not SpikeQuantizer:
        raise TypeError(
            f"{name} quantises its spikes by a {type(quantizer).__name__}, which has no folded form; deployed spikes "
            "are the levels of a SpikeQuantizer"
        )
    if quantizer.softness is None:
        return None, 1.0, None
    if quantizer.softness != 0 or quantizer.max_level > MAX_UINT8:
        raise ValueError(
            f"{name} has {quantizer}; deployed spikes are levels of at most 8 bits, or not quantised at all"
        )
    return quantizer.max_level, quantizer.scale, quantizer.bits


def _per_step(array: Any, num_steps: int, where: str) -> np.ndarray:
    rows = float64(array)
    if rows.ndim == 0:
        return rows.reshape(1, 1)
    if len(rows) not in (1, num_steps):
        raise ValueError(
            f"{where} has shape {rows.shape}; expected a scalar, [{num_steps}] or [1 or {num_steps}, ...]: "
            "time comes first, so give an array per channel as array[None]"
        )
    return rows[:, None] if rows.ndim == 1 else rows
