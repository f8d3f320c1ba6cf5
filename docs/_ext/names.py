"""Backticks that name something of the package link to it, in docstrings and on pages.

In docstrings a word in backticks is looked for as Python would find it there. On pages, code that begins with `hd.`
names something of the package, or the build warns.
"""

import importlib
import importlib.util
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
ON_PAGES = re.compile(r"hd(\.[A-Za-z_]\w*)+")
logger = logging.getLogger(__name__)


def known(name, rawtext, text, lineno, inliner, options=None, content=None):  # type: ignore[no-untyped-def]
    """The role of single backticks in docstrings."""
    shown = nodes.literal(rawtext, text)
    if not DOTTED.fullmatch(text.removesuffix("()")):
        return [shown], []
    environment = inliner.document.settings.env
    reference = addnodes.pending_xref(
        rawtext,
        shown,
        refdomain="py",
        reftype="obj",
        reftarget=text.removesuffix("()"),
        refdoc=environment.docname,
        refwarn=False,
        may_be_unknown=True,
        **{"py:module": environment.ref_context.get("py:module"), "py:class": environment.ref_context.get("py:class")},
    )
    return [reference], []


def found_otherwise(app, environment, node, shown):  # type: ignore[no-untyped-def]
    """`learning.Rule` is `hdlif_jax.learning.Rule`; what is not found at all is plain code.

    Types of signatures are written by where they are defined. They link to where they are public; what is not public is
    there, but has no entry.
    """
    target = node["reftarget"]
    if node.get("may_be_unknown"):
        return _link(app, node["refdoc"], f"hdlif_jax.{target}", shown) or shown
    return shown if target.startswith("hdlif_jax.") and _there(target) else None


def _link(app, docname, path, shown):  # type: ignore[no-untyped-def]
    entry = app.env.domains.python_domain.objects.get(path)
    return entry and make_refnode(app.builder, docname, entry.docname, entry.node_id, shown, path)


class NamesOnPages(SphinxPostTransform):
    """Links `hd.nn.lif` on a page to its entry in the reference."""

    default_priority = 20

    def run(self, **kwargs) -> None:  # type: ignore[no-untyped-def]
        """Of one document."""
        for literal in list(self.document.findall(nodes.literal)):
            match = ON_PAGES.match(literal.astext())
            if not match or isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            path = match[0].replace("hd", "hdlif_jax", 1)
            link = _link(self.app, self.env.docname, path, literal.deepcopy())
            if link:
                literal.replace_self(link)
            elif not _there(path):
                logger.warning("nothing is named %s", match[0], location=literal.parent)


def _there(path: str) -> bool:
    """Whether a dotted name leads somewhere, such as to a module or a method."""
    value = importlib.import_module("hdlif_jax")
    for part in path.split(".")[1:]:
        if hasattr(value, "__path__") and importlib.util.find_spec(f"{value.__name__}.{part}"):
            importlib.import_module(f"{value.__name__}.{part}")
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def setup(app):  # type: ignore[no-untyped-def]
    """For Sphinx."""
    app.add_role("known", known)
    app.connect("missing-reference", found_otherwise)
    app.add_post_transform(NamesOnPages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
