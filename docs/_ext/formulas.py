"""Formulas as MathML, by docutils' own converter: nothing is loaded from elsewhere when a page is read."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def _inline(translator, node) -> None:  # type: ignore[no-untyped-def]
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator, node) -> None:  # type: ignore[no-untyped-def]
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):  # type: ignore[no-untyped-def]
    """For Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
