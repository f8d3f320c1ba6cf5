"""The build fails where a public name is not documented, or a link of the built site leads nowhere."""

import inspect
import pathlib
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import surface
from sphinx.util import logging

logger = logging.getLogger(__name__)


def undocumented() -> list[str]:
    """Public names, and public methods of public classes, without a docstring."""
    found = []
    for names in surface.pages().values():
        for name in names:
            if not name.docstring:
                found.append(name.path)
            elif name.kind == "class":
                found += [f"{name.path}.{method}" for method in _bare_methods(name.value)]
    return found


def _bare_methods(cls: type) -> list[str]:
    methods = {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
    return [name for name in methods if not (inspect.getdoc(getattr(cls, name)) or "").strip()]


def check_names(app, environment) -> None:  # type: ignore[no-untyped-def]
    """Every public name has a docstring and an entry in the reference."""
    for path in undocumented():
        logger.warning("%s has no docstring", path)
    entries = environment.domains.python_domain.objects
    for names in surface.pages().values():
        for name in names:
            if name.path not in entries:
                logger.warning("%s is on no page of the reference", name.path)


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Notes what a tag leads to and what it is called."""
        for name, value in attributes:
            if value and name == "id":
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def dead_links(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Pages of a built site with their links that lead to no file or no anchor; other hosts are not asked."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                dead.append((str(path.relative_to(folder)), link))
    return dead


def check_links(app, error) -> None:  # type: ignore[no-untyped-def]
    """Of what was written."""
    if error is None and app.builder.format == "html":
        for page, link in dead_links(pathlib.Path(app.outdir).resolve()):
            logger.warning("%s links to %s, which is not there", page, link)


def setup(app):  # type: ignore[no-untyped-def]
    """For Sphinx."""
    app.connect("env-check-consistency", check_names)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
