"""Every notebook runs from start to end, and its committed, executed form is the same notebook."""

import importlib.util
import pathlib
import subprocess
import sys
import types

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
    monkeypatch.setattr(subprocess, "run", None)
    exec(installation(), {})


@pytest.mark.parametrize("absent", [None, types.SimpleNamespace(origin=None)], ids=["nothing", "a folder of that name"])
def test_elsewhere_a_wheel_or_the_clone_is_installed_and_no_index_is_asked(absent, tmp_path, monkeypatch):
    """The name is on no index, so what an index has under it is not ours."""
    called = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: absent)
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words[-1]))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(ModuleNotFoundError, match="upload a wheel of hdlif_jax"):
        exec(installation(), {})
    (tmp_path / "hdlif_jax").mkdir()
    (tmp_path / "hdlif_jax" / "__init__.py").touch()
    exec(installation(), {})
    wheel = tmp_path / "notebooks" / "hdlif_jax-0.2.0-py3-none-any.whl"
    wheel.touch()
    exec(installation(), {})
    assert called == [f"hdlif_jax[commands] @ {source.as_uri()}" for source in (tmp_path, wheel)]


def installation():
    (first,) = {
        next(cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code") for source in SOURCES
    }
    return first


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
