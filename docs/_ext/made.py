"""What is made before the pages are read: API pages, results, pictures, and the notebooks' place in the site."""

import pathlib
import shutil

import api_pages
import pictures
import results

ROOT = pathlib.Path(__file__).parents[2]


def make(app) -> None:  # type: ignore[no-untyped-def]
    """Everything, into folders that git ignores."""
    source = pathlib.Path(app.srcdir)
    api_pages.write(source / "api")
    pictures.write(source / "_made")
    results.write(source / "results", ROOT / "experiments")
    notebooks(ROOT / "notebooks", source / "tutorials")


def notebooks(source: pathlib.Path, target: pathlib.Path) -> None:
    """The executed notebooks."""
    target.mkdir(exist_ok=True)
    for notebook in source.glob("[0-9]*.ipynb"):
        copied = target / notebook.name
        if not copied.exists() or copied.read_bytes() != notebook.read_bytes():
            shutil.copy(notebook, copied)


def setup(app):  # type: ignore[no-untyped-def]
    """For Sphinx."""
    app.connect("builder-inited", make)
    app.connect("autodoc-process-signature", api_pages.signature_of)
    app.connect("autodoc-before-process-signature", api_pages.bare_types)
    app.connect("autodoc-process-docstring", api_pages.as_text)
    app.connect("autodoc-skip-member", api_pages.skips)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
