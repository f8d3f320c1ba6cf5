"""The page: charts, tables and pictures in one file that needs nothing else.

All texts of users, such as names of classes and paths, are escaped here or set as text by the script, and a policy in
the page forbids it every connection and every script but its own.
"""

import html
import json
import pathlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

FOLDER = pathlib.Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


class Tab(NamedTuple):
    """A part of the page.

    Attributes:
      name: of the tab.
      body: its HTML.
      charts: by the ids of elements in the body, drawn when the tab is first seen.
    """

    name: str
    body: str
    charts: Mapping[str, Any] = {}


def page(
    title: str,
    subtitle: str,
    facts: Sequence[tuple[str, str, str]],
    notes: Sequence[str],
    tabs: Sequence[Tab],
    predictions: Mapping[str, Any] | None,
) -> str:
    """The whole page.

    Args:
      title: of the run.
      subtitle: how far it is, and where.
      facts: name, value and remark of the figures at the top.
      notes: what is missing, and why.
      tabs: the parts; those without a body are left out.
      predictions: what the script shows of examples at each time-step; None where nothing is known of them.
    """
    from plotly.offline import get_plotlyjs

    nonce = secrets.token_urlsafe(16)  # which no text of a user can have in it
    shown = [tab for tab in tabs if tab.body]
    charts = {name: chart for tab in shown for name, chart in tab.charts.items()}
    buttons = "".join(
        f'<button role="tab" id="tab-{index}" aria-controls="panel-{index}" aria-selected="{str(not index).lower()}" '
        f'tabindex="{-bool(index)}">{html.escape(tab.name)}</button>'
        for index, tab in enumerate(shown)
    )
    panels = "".join(
        f'<section role="tabpanel" id="panel-{index}" aria-labelledby="tab-{index}"{" hidden" if index else ""}>'
        f"{tab.body}</section>"
        for index, tab in enumerate(shown)
    )
    cards = "".join(
        f'<div class="card"><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>'
        f"<small>{html.escape(remark)}</small></div>"
        for name, value, remark in facts
    )
    remarks = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY.format(nonce=nonce)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{(FOLDER / "page.css").read_text()}</style>
</head>
<body>
<header><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p></header>
<dl class="cards">{cards}</dl>
{remarks}
<noscript><p class="note">A script in this page draws its charts; allow it to run.</p></noscript>
<nav role="tablist" aria-label="Parts of the report">{buttons}</nav>
<main>{panels}</main>
<script type="application/json" id="charts">{as_json(charts)}</script>
<script type="application/json" id="predictions">{as_json(predictions)}</script>
<script nonce="{nonce}">{get_plotlyjs()}</script>
<script nonce="{nonce}">{(FOLDER / "page.js").read_text()}</script>
</body>
</html>
"""


def as_json(value: Any) -> str:
    """JSON that ends no script element, whatever texts are in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def figure(*names: str, beside: str = "") -> str:
    """Places for charts, and a table, side by side where there is room."""
    places = "".join(f'<div class="chart" id="{name}"></div>' for name in names)
    return f'<div class="charts">{places}{beside}</div>'


def table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1, texts_behind: int = 0
) -> str:
    """A table; the first and the last columns are texts, the others numbers, to the right."""
    numbers = range(text_columns, len(heads) - texts_behind)

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(
            f'<{tag}{" class=number" if place in numbers else ""}>{html.escape(cell)}</{tag}>'
            for place, cell in enumerate(cells)
        ) + "</tr>"  # fmt: skip

    body = "".join(line(row, "td") for row in rows)
    return (
        f'<div class="scroll"><table><caption>{html.escape(title)}</caption><thead>{line(heads, "th")}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def code(title: str, text: str) -> str:
    """A line to be typed."""
    return f"<h2>{html.escape(title)}</h2><pre>{html.escape(text)}</pre>"


def folded(title: str, body: str) -> str:
    """What is seen when it is asked for."""
    return f"<details><summary>{html.escape(title)}</summary>{body}</details>"


EXAMPLES = """
<div class="slider"><label for="step">After <output id="step-name"></output> of <span id="last-step"></span> time-steps:
<strong id="step-accuracy"></strong></label>
<input type="range" id="step" min="1" step="1"></div>
<h2>Examples</h2>
<div class="filters" id="filters" role="group" aria-label="Which examples"></div>
<div class="examples" id="examples"></div>
<div class="detail"><img id="picture" alt="the chosen example"><div class="chart" id="probabilities"></div></div>
"""
