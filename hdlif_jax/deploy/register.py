"""The register of folding: a rule for each type of module."""

from collections.abc import Callable
from typing import TypeVar

from flax import nnx

Rule = Callable[..., None]  # (folding, module, name, *sources)
AnyRule = TypeVar("AnyRule", bound=Rule)
RULES: dict[type[nnx.Module], Rule] = {}


def rule(kind: type[nnx.Module]) -> Callable[[AnyRule], AnyRule]:
    """Registers how modules of a type are folded, for this very type: a subclass may compute something else.

    Example:
      A neuron of your own, whose cell calls the pure function `glif_step(params_t, state, current)`:

      >>> from hdlif_jax import nn
      >>> from hdlif_jax.deploy.fold import rule
      >>> class GLIFCell(nn.NeuronCell): ...
      >>> @rule(GLIFCell)
      ... def fold_glif(folding, cell, name, source):
      ...     params = {"decay": cell.decay[...], "threshold": cell.threshold[...]}
      ...     folding.neuron(name, source, cell, glif_step, params, height=1.0)

    Args:
      kind: the type, of a cell or of a module without parts of its own.

    Returns:
      A decorator of `(folding, module, name, *sources) -> None`, which gives the value `name` by one of
      `folding.neuron`, `folding.function`, `folding.norm`, `folding.identity` and `folding.emit`.

    Raises:
      TypeError: what is no type of modules.
    """
    if not (isinstance(kind, type) and issubclass(kind, nnx.Module)):
        raise TypeError(f"rule({kind!r}) folds no module; give it a type such as rule(nn.Conv)")

    def register(fold_module: AnyRule) -> AnyRule:
        RULES[kind] = fold_module
        return fold_module

    return register


def rule_of(name: str, module: nnx.Module) -> Rule:
    """The rule that folds a module.

    Args:
      name: of the call, for messages.
      module: a leaf.

    Raises:
      TypeError: its type has none.
    """
    kind = type(module)
    if kind not in RULES:
        raise TypeError(
            f"{name} is of type {kind.__name__}, which has no folded form; register one with "
            f"hdlif_jax.deploy.fold.rule({kind.__name__}), or deploy a network without it"
        )
    return RULES[kind]
