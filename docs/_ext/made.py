"""What is made before the pages are read: API pages, results, pictures, and the place of other texts in the site."""

import pathlib
import re
import shutil

import api_pages
import gallery
import pictures
import results

ROOT = pathlib.Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]*)\]\(((?!https?:|#)[^)\s]+)\)")


def make(app) -> None:  # type: ignore[no-untyped-def]
    """Everything, into folders that git ignores."""
    source = pathlib.Path(app.srcdir)
    api_pages.write(source / "api")
    pictures.write(source / "_made")
    gallery.write(source / "_made" / "gallery")
    results.write(source / "results", ROOT / "experiments")
    notebooks(ROOT / "notebooks", source / "tutorials")
    of_the_project(source / "project")


def notebooks(source: pathlib.Path, target: pathlib.Path) -> None:
    """The executed notebooks."""
    target.mkdir(exist_ok=True)
    for notebook in source.glob("[0-9]*.ipynb"):
        copied = target / notebook.name
        if not copied.exists() or copied.read_bytes() != notebook.read_bytes():
            shutil.copy(notebook, copied)


def of_the_project(target: pathlib.Path) -> None:
    """ARCHITECTURE, CONTRIBUTING and CHANGELOG, with links as they are from there."""
    target.mkdir(exist_ok=True)
    for name in ("ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"):
        text = LINK.sub(_from_there, (ROOT / f"{name}.md").read_text())
        path = target / f"{name.lower()}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _from_there(link: re.Match[str]) -> str:
    """A link between pages of the site; to what is not on it, only the words."""
    path, _, anchor = link[2].partition("#")
    anchor = f"#{anchor}" if anchor else ""
    if path in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        return f"[{link[1]}]({path.lower()}{anchor})"
    if path.startswith("docs/"):
        return f"[{link[1]}](../{path.removeprefix('docs/')}{anchor})"
    return link[1] if link[1] == path else f"{link[1]} (`{path}`)"


def setup(app):  # type: ignore[no-untyped-def]
    """For Sphinx."""
    app.connect("builder-inited", make)
    app.connect("autodoc-process-signature", api_pages.signature_of)
    app.connect("autodoc-before-process-signature", api_pages.bare_types)
    app.connect("autodoc-process-docstring", api_pages.as_text)
    app.connect("autodoc-skip-member", api_pages.skips)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
