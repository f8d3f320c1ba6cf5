"""The tables of a study as Markdown."""

import pathlib
from collections.abc import Iterable, Sequence

from hdlif_jax.commands.support.study_figures import FIGURES, Difference, Figure, Row, Spread, place_of

NOTHING = "–"
NOTHING_HELD_OUT = "Nothing was held out to choose by: `--data.validation-fraction 0.1` holds out a tenth."
MANY = 6  # time-steps, of which a table shows all


def markdown(title: str, notes: Sequence[str], rows: Sequence[Row], folder: pathlib.Path) -> str:
    """A study as text: figures, accuracy after 1…T steps, differences, and where everything comes from."""
    papers = any(row.paper is not None for row in rows)
    parts = [f"# {title}", *notes, _figures(rows), _per_step(rows), _differences(rows)]
    if papers:
        parts.append(_papers(rows))
    parts += [f"{row.name}: {row.note}" for row in rows if row.note is not None]
    parts += [_refusal(row) for row in rows]
    parts.append(_runs(rows, folder))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(rows: Sequence[Row]) -> str:
    shown = [name for name in FIGURES if any(row.figures[name].mean is not None for row in rows)]
    head = ["", *(FIGURES[name].label for name in shown)]
    body = [[row.name, *(text_of(row.figures[name], FIGURES[name].digits) for name in shown)] for row in rows]
    chosen = "" if "best_accuracy" in shown else f" {NOTHING_HELD_OUT}"
    return (
        markdown_table(head, body)
        + f"\n\nMean ± standard deviation over {_seeds(rows)}; accuracy of the last epoch.{chosen}"
    )


def _per_step(rows: Sequence[Row]) -> str:
    shown = shown_steps(max(len(row.accuracy_per_step) for row in rows))
    head = ["accuracy (%) after", *(f"{step} step{'s' * (step > 1)}" for step in shown)]
    body = []
    for row in rows:
        cells = [text_of(accuracy, 2) for accuracy in row.accuracy_per_step]
        body.append([row.name, *(cells[step - 1] if step <= len(cells) else NOTHING for step in shown)])
    return markdown_table(head, body)


def shown_steps(longest: int) -> list[int]:
    """Of many time-steps the first four, and from there about every doubling, to the last."""
    steps = [step for step in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if step < longest]
    return [*steps, longest] if longest > MANY else list(range(1, longest + 1))


def _differences(rows: Sequence[Row]) -> str:
    tables = []
    for reference in dict.fromkeys(row.reference for row in rows if row.reference is not None):
        head = [f"accuracy against {reference}", "difference (points)", "95 % interval"]
        body = [[row.name, *_difference(row.versus_first)] for row in rows if row.reference == reference]
        tables.append(markdown_table(head, body))
    return "\n\n".join(tables)


def _difference(found: Difference | None) -> tuple[str, str]:
    if found is None:
        return NOTHING, NOTHING
    interval = NOTHING if found.low is None or found.high is None else f"{found.low:+.2f} to {found.high:+.2f}"
    return f"{found.mean:+.2f}", interval


def _papers(rows: Sequence[Row]) -> str:
    shown: list[tuple[str, Figure]] = [
        (figure.paper, figure)
        for figure in FIGURES.values()
        if figure.paper and any(getattr(row.paper, figure.paper, None) is not None for row in rows)
    ]
    head = ["the paper, at its own scale", "source", *(figure.label for _, figure in shown)]
    body = []
    for row in rows:
        values = [getattr(row.paper, name, None) for name, _ in shown]
        cells = [
            NOTHING if value is None else f"{value:.{min(figure.digits, 2)}f}"
            for value, (_, figure) in zip(values, shown, strict=True)
        ]
        body.append([row.name, NOTHING if row.paper is None else row.paper.source, *cells])
    return markdown_table(head, body)


def _refusal(row: Row) -> str:
    for run in row.runs.values():
        if "deployment_refused" in run.figures:
            return f"{row.name} is not deployed: {run.figures['deployment_refused']}."
    return ""


def _runs(rows: Sequence[Row], folder: pathlib.Path) -> str:
    head = ["run", "seed", "accuracy (%)", "folder"]
    return markdown_table(
        head,
        [
            [row.name, str(seed), f"{100 * run.summary['test_accuracy']:.2f}", f"`{place_of(run, folder)}`"]
            for row in rows
            for seed, run in row.runs.items()
        ],
    )


def text_of(spread: Spread, digits: int) -> str:
    """Mean ± deviation."""
    if spread.mean is None:
        return NOTHING
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:.{digits}f}"
    return f"{spread.mean:,.{digits}f}{deviation}"


def _seeds(rows: Sequence[Row]) -> str:
    if len({frozenset(row.runs) for row in rows}) > 1:
        return "the seeds that a row has, which stand below; differences over those that two rows have in common"
    seeds = sorted(rows[0].runs)
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table whose first column is to the left and whose others are to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
