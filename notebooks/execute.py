"""Runs the notebooks and writes them, executed, beside their sources: `python notebooks/execute.py [NAME ...]`."""

import os
import pathlib
import sys

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parent


def execute(source: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook of a .py:percent source with all its outputs; raises CellExecutionError where a cell fails."""
    notebook = jupytext.read(source)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"  # and not random, so that another execution changes only outputs
    client = NotebookClient(
        notebook, timeout=1800, kernel_name="python3", record_timing=False, resources={"metadata": {"path": FOLDER}}
    )
    # A backend that shows no pictures may be set where there is no screen; a notebook's own does.
    return client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})


if __name__ == "__main__":
    for source in sorted(FOLDER.glob("[0-9]*.py")):
        if not sys.argv[1:] or source.stem in sys.argv[1:]:
            nbformat.write(execute(source), source.with_suffix(".ipynb"))
            print(f"executed {source.stem}")
