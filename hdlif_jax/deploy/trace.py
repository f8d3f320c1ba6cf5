"""What a network does, found out by running its own code on symbols: a list of calls of leaf modules, and sums.

So a network needs no folding code of its own. It must be made of the library's leaf modules and of sums.
"""

import dataclasses
from typing import Any

from flax import nnx

from hdlif_jax.nn import SECA, NeuronCell, SpikingNetwork, Synapse
from hdlif_jax.nn.pooling import Flatten, GlobalAverage, HalvingAverage, StemMaximum

LEAVES = (Synapse, nnx.BatchNorm, NeuronCell, SECA, GlobalAverage, HalvingAverage, StemMaximum, Flatten)


@dataclasses.dataclass(frozen=True)
class Call:
    """One operation of a network.

    Attributes:
      name: path of the module, or "sum.N"; also the name of the result.
      module: the leaf module; None for a sum.
      sources: names of the operands.
    """

    name: str
    module: nnx.Module | None
    sources: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Symbol:
    """Stands for an array while a network is traced."""

    name: str
    calls: list[Call] = dataclasses.field(repr=False)

    def __add__(self, other: Any) -> "Symbol":
        if not isinstance(other, Symbol):
            raise TypeError(f"{self.name} + {other!r}: only sums of two values of the network can be folded")
        return self.record(f"sum.{len(self.calls)}", None, self, other)

    def record(self, name: str, module: nnx.Module | None, *operands: "Symbol") -> "Symbol":
        """Appends a call and returns its result."""
        self.calls.append(Call(name, module, tuple(operand.name for operand in operands)))
        return Symbol(name, self.calls)


def trace(model: SpikingNetwork) -> tuple[list[Call], list[Call], str]:
    """The calls of a network in its two parts.

    Args:
      model: a network of the library, or one built of its leaf modules.

    Returns:
      The calls of `encode`, those of `__call__`, and the name of the current between them.

    Raises:
      TypeError: the network computes something that is neither a leaf module nor a sum.
    """
    recorder: Any = nnx.clone(model)
    originals = dict(nnx.iter_modules(model))
    for path, module in list(nnx.iter_modules(recorder)):
        if isinstance(module, LEAVES):
            _make_recording(module, originals[path], ".".join(map(str, path)))
    encoder: list[Call] = []
    body: list[Call] = []
    try:
        current = recorder.encode(Symbol("input", encoder)).name
        recorder(None, Symbol(current, body), 0)
    except (TypeError, AttributeError) as error:
        raise TypeError(
            f"{type(model).__name__} cannot be folded: {error}; outside the leaf modules of hdlif_jax.nn a network may "
            "only add values, so put other operations into modules such as those of hdlif_jax.nn.pooling"
        ) from error
    for part in (encoder, body):
        names = [call.name for call in part]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise TypeError(f"{min(repeated)} is called more than once in a time-step; give every call its own module")
    return encoder, body, current


def _make_recording(module: nnx.Module, original: nnx.Module, name: str) -> None:
    kind = type(module)

    def call(self, operand, *others):
        if isinstance(self, NeuronCell):  # (state, current, t) → (state, spikes)
            return None, others[0].record(name, original, others[0])
        return operand.record(name, original, operand)

    # A subclass, because networks ask isinstance questions about their children.
    module.__class__ = type(f"Recording{kind.__name__}", (kind,), {"__call__": call})
