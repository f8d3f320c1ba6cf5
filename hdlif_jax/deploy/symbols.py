"""What a network does, found out by running its own code on symbols: a list of calls of leaf modules, and sums.

So a network needs no folding code of its own. Its code may call modules and add their outputs; cells and modules
without parts of their own are the leaves, whatever they compute.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn import Cell, SpikingNetwork, Stateful, Tick
from hdlif_jax.nn.intercept import Interceptor, intercept, modules


@dataclasses.dataclass(frozen=True)
class Call:
    """One operation of a network.

    Attributes:
      name: path of the module, or "sum.N"; also the name of the result.
      module: the leaf, a part of the caller's model; None for a sum.
      sources: names of the operands.
    """

    name: str
    module: nnx.Module | None
    sources: tuple[str, ...]


class Calls(NamedTuple):
    """The calls of a network in its two parts.

    Attributes:
      encoder: those of `encode`.
      body: those of `__call__`.
      current: name of the value between the two.
      logits: name of the value that `__call__` gives.
    """

    encoder: tuple[Call, ...]
    body: tuple[Call, ...]
    current: str
    logits: str


@dataclasses.dataclass(frozen=True)
class Symbol:
    """Stands for an array while a network's code runs."""

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


def calls_of(model: SpikingNetwork) -> Calls:
    """The calls of leaf modules that a time-step of a network makes.

    Args:
      model: any network; it is left alone.

    Raises:
      TypeError: its own code does something else than call modules and add values, depends on the step, keeps a state
        of its own, or calls a module twice.
    """
    originals = dict(modules(model))
    copy: Any = nnx.clone(cast(nnx.Module, model))

    def choose(path: str, module: nnx.Module) -> Interceptor | None:
        return _recording(path, originals[path]) if path and _is_leaf(module) else None

    intercept(copy, choose)
    calls: list[Call] = []
    found: list[Any] = []

    def run(t: jax.Array) -> None:
        """Traced, so that code of the network's own that depends on the step is found out."""
        current = copy.encode(Symbol("input", calls)).name
        found.extend((current, len(calls), *copy(None, Symbol(current, calls), Tick(t))))

    try:
        jax.eval_shape(run, jnp.int32(0))
        current, end_of_encoder, state, logits = (*found[:3], found[3].name)
        if jax.tree.leaves(state):
            raise TypeError("it keeps a state outside of its cells, such as a feedback from step to step")
    except (TypeError, AttributeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise TypeError(
            f"{type(model).__name__} cannot be folded: {reason}; outside of modules a network's own code may only add "
            "values, so put other operations into modules such as those of hdlif_jax.nn.pooling"
        ) from error
    names = [call.name for call in calls]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise TypeError(f"{min(repeated)} is called more than once in a time-step; give every call its own module")
    return Calls(tuple(calls[:end_of_encoder]), tuple(calls[end_of_encoder:]), current, logits)


def _is_leaf(module: nnx.Module) -> bool:
    if isinstance(module, Cell):
        return True
    return callable(module) and all(child is module for _, child in nnx.iter_modules(module))


def _recording(path: str, original: nnx.Module) -> Interceptor:
    def run(call: Callable[..., Any], *arguments: Any) -> Any:
        operands = [argument for argument in arguments if isinstance(argument, Symbol)]
        if not operands:
            raise TypeError(f"{path} is called with no value of the network")
        result = operands[0].record(path, original, *operands)
        return ((), result) if isinstance(original, Stateful) else result

    return run
