"""Which parameters a rule cannot reach: those whose gradient is zero by construction, read off the traced step.

An online rule takes the state as a constant, so what acts through it alone, such as what an adaptation forgets, gets
no gradient; neither does what nothing reads. A gradient that is zero because neurons are silent is another matter: it
is computed, and `monitor` warns of the neurons.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from hdlif_jax.learning import Rule, stbp
from hdlif_jax.nn import Params
from hdlif_jax.nn.arrays import name_of

MARK = "gradient of "
NAMED = 4  # parameters in a message

PRODUCTS = {"mul", "dot_general", "conv_general_dilated"}  # zero if one factor is
SUMS = {"add", "sub", "add_any", "max", "min", "concatenate", "pad"}  # zero if all terms are
# Zero if the first operand is.
MAPS = {
    "abs", "broadcast_in_dim", "convert_element_type", "copy", "cumsum", "div", "dynamic_slice", "expand_dims",
    "gather", "integer_pow", "neg", "reduce_max", "reduce_min", "reduce_precision", "reduce_sum", "reduce_window_sum",
    "reshard", "reshape", "rev", "select_and_scatter_add", "sharding_constraint", "sign", "slice", "sqrt", "square",
    "squeeze", "stop_gradient", "tanh", "transpose",
}  # fmt: skip
SCATTERS = {"scatter": (0, 2), "scatter-add": (0, 2), "dynamic_update_slice": (0, 1)}  # operand and update


class UnreachedParameters(UserWarning):
    """Some parameters get no gradient under the rule that is to teach them."""


def marked(grads: Params) -> Params:
    """The same gradients, which `unreached` finds in the traced step by the paths of their parameters."""
    named: Params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: checkpoint_name(leaf, MARK + name_of(path)), grads
    )
    return named


def unreached(step: ClosedJaxpr) -> list[str]:
    """Paths of the parameters whose marked gradients are zeros in a traced step, whatever its arguments are."""
    found: dict[str, bool] = {}
    try:
        _zeros(step, [False] * len(step.jaxpr.invars), found)
    except (AttributeError, KeyError, ValueError):  # a program as only a later jax writes it stops no training
        return []
    return [path for path, zero in found.items() if zero]


def explain_unreached(rule: Rule, step: ClosedJaxpr, traced_with: Callable[[Rule], ClosedJaxpr]) -> str | None:
    """One line on the parameters that a rule does not reach, and which rule does; None where it reaches all.

    Args:
      rule: the rule.
      step: the training step with it, traced.
      traced_with: traces the step with another rule.
    """
    lost = unreached(step)
    if not lost:
        return None
    full = stbp(layerwise=getattr(rule, "layerwise", False), unroll=False)
    beyond = lost if rule in (stbp(), stbp(layerwise=True)) else unreached(traced_with(full))
    temporal = [path for path in lost if path not in beyond]
    parts = []
    if temporal:
        parts.append(
            f"{_listed(temporal)} get no gradient under {rule}, as they act through the state alone; "
            f"learning.stbp({'layerwise=True' if full.layerwise else ''}) reaches them"
        )
    if rest := [path for path in lost if path in beyond]:
        parts.append(f"{_listed(rest)} get no gradient under any rule, as the loss does not depend on them")
    return "; ".join(parts)


def warn_of_reach(
    rule: Rule,
    step: ClosedJaxpr,
    step_of: Callable[[Rule], Callable[..., Any]],
    example: tuple[Any, Callable[[int], Any]],
    tell: Callable[[str], None],
) -> None:
    """Tells of the parameters that a rule does not reach.

    Args:
      rule: the rule.
      step: the training step with it, traced.
      step_of: makes the step of another rule.
      example: a state, and the function of a step that gives a batch; used only where there is something to tell.
      tell: takes the line.
    """
    state, batch = example
    problem = explain_unreached(rule, step, lambda other: jax.make_jaxpr(step_of(other))(state, batch(0)))
    if problem:
        tell(problem)


def _listed(paths: list[str]) -> str:
    more = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _zeros(function: ClosedJaxpr | Jaxpr, inputs: list[bool], found: dict[str, bool]) -> list[bool]:
    """Which outputs are zeros by construction, from which inputs are; takes down the marked values on the way."""
    whole: Any = function
    jaxpr, consts = (whole.jaxpr, whole.consts) if isinstance(function, ClosedJaxpr) else (whole, ())
    known: dict[Any, bool] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= dict(zip(jaxpr.constvars, map(_is_zero, consts), strict=False))

    def zero(atom: Any) -> bool:
        return _is_zero(atom.val) if isinstance(atom, Literal) else known.get(atom, False)

    for equation in jaxpr.eqns:
        operands = [zero(atom) for atom in equation.invars]
        outputs = _of_equation(equation, operands, found)
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [zero(atom) for atom in jaxpr.outvars]


def _of_equation(equation: Any, operands: list[bool], found: dict[str, bool]) -> list[bool]:
    kind, params, count = equation.primitive.name, equation.params, len(equation.outvars)
    if kind == "name":
        if params["name"].startswith(MARK):
            path = params["name"].removeprefix(MARK)
            found[path] = found.get(path, True) and operands[0]
        return operands
    if kind == "scan":
        inner = getattr(params["jaxpr"], "jaxpr", params["jaxpr"])
        # What is gone over has an axis more outside; parameters that say how much that is differ between versions.
        carried = _alike(equation.outvars, inner.outvars)
        consts = _alike(equation.invars, inner.invars) - carried
        return _of_loop(params["jaxpr"], operands, consts, carried, found)
    if kind == "while":
        consts = params["body_nconsts"]
        return _of_loop(params["body_jaxpr"], operands[params["cond_nconsts"] :], consts, count, found)
    if kind == "cond":
        branches = [_zeros(branch, operands[1:], found) for branch in params["branches"]]
        return [all(outputs) for outputs in zip(*branches, strict=True)]
    if kind == "optimization_barrier":
        return operands
    for inner in (params.get(name) for name in ("jaxpr", "call_jaxpr")):
        if isinstance(inner, ClosedJaxpr | Jaxpr):
            return _zeros(inner, operands, found)
    return [_of_operation(kind, operands)] * count


def _alike(outside: list[Any], inside: list[Any]) -> int:
    return sum(outer.aval.shape == inner.aval.shape for outer, inner in zip(outside, inside, strict=True))


def _of_loop(body: Any, operands: list[bool], consts: int, carried: int, found: dict[str, bool]) -> list[bool]:
    """A loop, whose carry is zero if it is so before the first turn and after every other."""
    fixed, carry, over = operands[:consts], operands[consts : consts + carried], operands[consts + carried :]
    while True:
        outputs = _zeros(body, fixed + carry + over, found)
        kept = [before and after for before, after in zip(carry, outputs, strict=False)]
        if kept == carry:
            return carry + outputs[carried:]
        carry = kept


def _of_operation(kind: str, operands: list[bool]) -> bool:
    if kind in PRODUCTS:
        return any(operands)
    if kind in SUMS:
        return all(operands)
    if kind in MAPS:
        return operands[0]
    if kind in SCATTERS:
        return all(operands[place] for place in SCATTERS[kind])
    return kind == "select_n" and all(operands[1:])


def _is_zero(value: Any) -> bool:
    array = np.asarray(value) if isinstance(value, np.ndarray | np.generic | jax.Array | float | int) else None
    return array is not None and array.dtype.kind in "fiub" and not array.any()
