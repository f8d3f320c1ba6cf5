"""How data shows itself: a line in a terminal, a table in a notebook."""

import html
from collections.abc import Sequence
from typing import Any


def described(array: Any) -> str:
    """An array by type and shape; anything else as it prints."""
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        return repr(array)
    return f"{array.dtype} {list(array.shape)}"


def shape_text(shape: Sequence[int]) -> str:
    """`[H, W, C]` as H×W×C, with the number of frames before it where there are frames."""
    frames = f"{shape[0]} frames of " if len(shape) == 4 else ""
    return frames + "×".join(str(side) for side in shape[-3:])


def names_text(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many there are."""
    shown = ", ".join(map(str, names[:most]))
    return f"{len(names)}: {shown}" + (", …" if len(names) > most else "")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> str:
    """An HTML table.

    Args:
      title: stands above it.
      columns: heads.
      rows: cells, one row after the other.
      note: stands below it.
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    below = f"<p>{html.escape(note)}</p>" if note else ""
    return f"<table><caption>{html.escape(title)}</caption><tr>{head}</tr>{body}</table>{below}"
