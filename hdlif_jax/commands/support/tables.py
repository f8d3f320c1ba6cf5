"""Tables on the console."""

import rich.box
import rich.measure
import rich.segment
import rich.table

from hdlif_jax.commands.support.cli import console

WIDEST = 1000  # columns


def new_table(
    *columns: str, title: str | None = None, text_columns: int = 1, texts_behind: int = 0
) -> rich.table.Table:
    """A table with a line below its head.

    Args:
      *columns: their names.
      title: of the table.
      text_columns: how many of the first columns are texts; the others are numbers, to the right.
      texts_behind: how many of the last columns are texts, too.
    """
    table = rich.table.Table(title=title, box=rich.box.SIMPLE, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(
            name, justify="right" if text_columns <= index < len(columns) - texts_behind else "left", no_wrap=True
        )
    return table


def plain_table(*columns: str) -> rich.table.Table:
    """A table without lines, of one column of texts and others of numbers, as narrow as can be."""
    table = rich.table.Table(box=None, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table


def print_table(table: rich.table.Table) -> None:
    """Prints a table whole: on a terminal that is too narrow its lines go on in the next, and no figure is cut."""
    options = console.options.update(width=WIDEST)
    needed = rich.measure.Measurement.get(console, options, table).maximum
    lines = console.render_lines(table, options.update(width=needed), pad=False)
    console.print(rich.segment.SegmentLines(lines, new_lines=True), soft_wrap=True, end="")
