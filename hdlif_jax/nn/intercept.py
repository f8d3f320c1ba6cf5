"""Calls of a network's modules that go through a function first: how forms, meters and folding watch a network.

So networks have no hooks, and their code runs unchanged.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from flax import nnx

MARK = "_intercepts"  # of classes that are made here

Interceptor = Callable[..., Any]  # (call, *arguments) -> result; `call` is the module's own
Choose = Callable[[str, nnx.Module], Interceptor | None]  # (path, module)


def modules(model: Any) -> Iterator[tuple[str, nnx.Module]]:
    """Every module of a model with its path, `"blocks.0.conv1"`; the model itself has the empty path."""
    for path, module in nnx.iter_modules(model):
        yield ".".join(map(str, path)), module


def intercept(model: Any, choose: Choose) -> None:
    """Sends calls of modules through functions, in place; after this the model is only good for running.

    A second function of a module stands before the first, which is then what its `call` runs.

    Args:
      model: a copy that belongs to the caller.
      choose: `(path, module) -> function`, or None for modules that are left alone.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> from hdlif_jax.nn.intercept import intercept
      >>> model = nn.mlp((8,), 3, widths=(16,), rngs=nnx.Rngs(0))
      >>> def choose(path, module):
      ...     def report(call, x):
      ...         print(path, "reads", x.shape)
      ...         return call(x)
      ...     return report if isinstance(module, nn.Synapse) else None
      >>> watched = nnx.clone(model)
      >>> intercept(watched, choose)
      >>> state, logits = watched(None, watched.encode(jnp.ones((2, 8))), nn.Tick(0))
      layers.0 reads (2, 8)
      layers.2 reads (2, 16)
    """
    for path, module in sorted(modules(model), key=lambda entry: len(entry[0])):  # what contains others comes first
        interceptor = choose(path, module)
        if interceptor is not None:
            # Python looks `__call__` up in the class; a subclass, so that questions of isinstance keep their answers.
            module.__class__ = _intercepting(type(module))
            vars(module)[_attribute(type(module))] = interceptor


def original(kind: type[nnx.Module]) -> type[nnx.Module]:
    """The class of a module before its calls were intercepted."""
    return next(base for base in kind.__mro__ if MARK not in vars(base))


def release(module: nnx.Module) -> None:
    """Lets calls of a module be its own again, in place, whatever they went through."""
    module.__class__ = original(type(module))


def _attribute(kind: type[nnx.Module]) -> str:
    """Where the function of an intercepting class lies; each class of a chain has its own."""
    return f"_interceptor{len(kind.__mro__)}"


@functools.cache
def _intercepting(kind: type[nnx.Module]) -> type[nnx.Module]:
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return vars(self)[name](functools.partial(kind.__call__, self), *arguments, **keywords)

    intercepting = type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__, MARK: True})
    name = _attribute(intercepting)
    return intercepting
