"""Every notebook runs from start to end, and its committed, executed form is the same notebook."""

import importlib.util
import pathlib
import subprocess
import sys

import jupytext
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "notebooks"))
from execute import execute

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))

# Of the notebook machinery, not of the notebooks: they run in a process of their own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_they_are_found():
    assert [source.stem[:2] for source in SOURCES] == ["01", "02", "03", "04", "05", "06"]


def test_all_begin_with_the_same_installation_which_does_nothing_here(monkeypatch):
    """So that each opens on Colab as it is."""
    first = {
        next(cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code") for source in SOURCES
    }
    (install,) = first
    assert "hdlif_jax[commands]" in install
    monkeypatch.setattr(subprocess, "run", None)
    exec(install, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TypeError, match="not callable"):  # it would be installed
        exec(install, {})


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_runs(source, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # one device, as for a reader
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    assert printed(execute(source))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_committed_form_is_executed_and_up_to_date(source):
    written, executed = jupytext.read(source), jupytext.read(source.with_suffix(".ipynb"))
    assert [(cell.cell_type, cell.source) for cell in executed.cells] == [
        (cell.cell_type, cell.source) for cell in written.cells
    ], f"run: python notebooks/execute.py {source.stem}"
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert printed(executed)


def printed(notebook):
    """Whether at least one cell shows a picture and one prints."""
    kinds = {
        kind
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        for kind in (output.output_type, *output.get("data", {}))
    }
    return {"stream", "image/png"} <= kinds
