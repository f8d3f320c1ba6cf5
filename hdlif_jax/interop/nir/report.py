"""What became of a graph's nodes."""

from typing import NamedTuple

from hdlif_jax import show


class Line(NamedTuple):
    """What became of one node.

    Attributes:
      node: its name in the graph.
      kind: its type, such as "LIF".
      layer: path of the layer that it became, such as "layers.1"; empty where none did.
      note: what was computed, assumed or moved.
    """

    node: str
    kind: str
    layer: str
    note: str


class Report(NamedTuple):
    """What became of a graph's nodes, in the order of computation; prints as a table.

    Attributes:
      dt: seconds of a time-step.
      lines: one for each node.
    """

    dt: float
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        rows = [Line._fields, *self.lines]
        widths = [max(len(row[column]) for row in rows) for column in range(len(Line._fields))]
        padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join([self._title(), *(line.rstrip() for line in padded)])

    def __repr__(self) -> str:
        return show.line("Report", {"dt": self.dt, "nodes": len(self.lines)})

    def _repr_html_(self) -> str:
        return show.rows(self._title(), Line._fields, self.lines)

    def _title(self) -> str:
        return f"NIR graph read with time-steps of {1e3 * self.dt:g} ms, by the forward Euler method"
