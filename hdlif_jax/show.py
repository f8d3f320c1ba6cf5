"""How the library's records show themselves: a line in a terminal, a table in a notebook."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def line(kind: str, facts: Mapping[str, Any]) -> str:
    """`Kind(name: fact, name: fact)`."""
    return f"{kind}({', '.join(f'{name}: {_text(fact)}' for name, fact in facts.items())})"


def table(kind: str, facts: Mapping[str, Any]) -> str:
    """The same as HTML, a row for each fact."""
    return rows(kind, (), ((name, _text(fact)) for name, fact in facts.items()))


def rows(title: str, columns: Iterable[str], lines: Iterable[Iterable[Any]], note: str = "") -> str:
    """A table as HTML, with a note below it."""

    def row(cells: Iterable[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(_text(cell))}</{tag}>" for cell in cells) + "</tr>"

    head = row(columns, "th") if columns else ""
    body = "".join(row(cells, "td") for cells in lines)
    below = f"<p>{html.escape(note)}</p>" if note else ""
    return f"<table><caption>{html.escape(title)}</caption>{head}{body}</table>{below}"


def array(value: Any) -> str:
    """An array by type and shape, `"float32[3, 8]"`; anything else as it prints."""
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        return repr(value)
    return f"{value.dtype}{list(value.shape)}"


def image(shape: Sequence[int]) -> str:
    """`[H, W, C]` as H×W×C, with the number of frames before it where there are frames."""
    frames = f"{shape[0]} frames of " if len(shape) == 4 else ""
    return frames + "×".join(str(side) for side in shape[-3:])


def names(words: Sequence[str], most: int = 10) -> str:
    """How many names there are, and the first."""
    shown = ", ".join(map(str, words[:most]))
    return f"{len(words)}: {shown}" + (", …" if len(words) > most else "")


def entries(tree: Any) -> str:
    """How many numbers a tree of arrays holds, `"1,234 in 5 arrays"`."""
    import jax  # not before it is needed: data shows itself too, and touches no device

    leaves = jax.tree.leaves(tree)
    return f"{sum(map(np.size, leaves)):,} in {len(leaves)} arrays"


def known(value: Any) -> Any:
    """A number, or what JAX calls an array that is not known yet, within `jit`."""
    import jax

    return str(value) if isinstance(value, jax.core.Tracer) else value


def _text(fact: Any) -> str:
    if isinstance(fact, float):
        return f"{fact:.4g}"
    return f"{fact:,}" if type(fact) is int else str(fact)
