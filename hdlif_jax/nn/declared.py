"""What a class says of its code, and whether it still runs that code.

A layer inherits what its class says of itself, such as `operations`, and may have written the code anew that this was
said of. Then it is not said of this layer, and whoever goes by it asks again, instead of taking it for its base class.
"""

from typing import Any

from flax import nnx

from hdlif_jax.nn.intercept import original


def definer(kind: type, name: str) -> type:
    """The class that an attribute of a class comes from."""
    return next(base for base in kind.__mro__ if name in vars(base))


def holds(module: nnx.Module | type[Any], declaration: str, *code: str) -> bool:
    """Whether a class says something of the code that it has.

    Args:
      module: a module, or its class.
      declaration: attribute by which a class says something of itself.
      *code: the methods that it speaks of.

    Returns:
      False where one of the methods was written anew in a class below the one that declares.

    Example:
      >>> from hdlif_jax import nn
      >>> from hdlif_jax.nn.declared import holds
      >>> class Own(nn.LIFCell):
      ...     def advance(self, state, x, tick): ...
      >>> holds(nn.LIFCell, "operations", "advance"), holds(Own, "operations", "advance")
      (True, False)
    """
    kind = original(module if isinstance(module, type) else type(module))
    declares = definer(kind, declaration)
    return all(issubclass(declares, definer(kind, name)) for name in code)
