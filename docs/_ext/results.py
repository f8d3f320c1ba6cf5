"""Pages of what was measured, from the JSON files that benchmarks, studies and runs leave; nothing is typed."""

import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from hdlif_jax.commands.support.study_figures import FIGURES

MANY_ROWS = 40
MANY_COLUMNS = 14
NOTHING = "–"


class Table(NamedTuple):
    """Rows of figures by name, with the same columns."""

    title: str
    rows: dict[str, dict[str, Any]]


def write(folder: pathlib.Path, experiments: pathlib.Path) -> None:
    """Writes the pages, and copies the pictures of studies.

    Args:
      folder: for the pages.
      experiments: with `results/` and `benchmarks/results/`.
    """
    folder.mkdir(exist_ok=True)
    pages = {"benchmarks": benchmarks(experiments / "benchmarks" / "results")}
    runs = sorted((experiments / "results").glob("*.json"))
    if runs:
        pages["runs"] = "# Runs\n\n" + "\n".join(_report(path) for path in runs)
    for study in sorted((experiments / "results").glob("*/study.json")):
        name = study.parent.name
        pages[name] = a_study(study)
        (folder / name).mkdir(exist_ok=True)
        for picture in study.parent.glob("*.png"):
            shutil.copy(picture, folder / name / picture.name)
    names = list(pages)
    toctree = "\n".join(["```{toctree}", ":maxdepth: 1", "", *names, "```"])
    pages["index"] = (
        "# Benchmarks and results\n\nEach page is made from JSON files in `experiments/`, which the commands named on "
        "it wrote, with the machine and the versions. Figures of one machine are not those of another.\n\n"
        f"{toctree}\n"
    )
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)


def benchmarks(folder: pathlib.Path) -> str:
    """All files of a folder, one after the other."""
    intro = (
        "# Benchmarks\n\nWhat `python -m experiments.benchmarks.<name>` measured; the extra `bench` brings what they "
        "compare with. Those without a command are of scripts whose questions are settled.\n"
    )
    return "\n".join([intro, *map(_report, sorted(folder.glob("*.json")))])


def _report(path: pathlib.Path) -> str:
    data = json.loads(path.read_text())
    parts = [f"## {path.stem}\n", _facts(data)]
    for table in tables(data):
        if table.title:
            parts.append(f"**{_words(table.title)}**\n")
        parts.append(_as_markdown(table))
    return "\n".join(parts)


def _facts(data: dict[str, Any]) -> str:
    """What stands at the top of a file, and versions, as a list."""
    facts = {key: value for key, value in data.items() if not isinstance(value, dict | list) and value is not None}
    command = facts.pop("command", None)
    lines = [f"- {_words(key)}: {_value(value)}" for key, value in facts.items()]
    for key in ("versions", "commits"):
        if isinstance(data.get(key), dict):
            lines.append(f"- {key}: " + ", ".join(f"{name} {value}" for name, value in data[key].items() if value))
    if command:
        text = command if isinstance(command, str) else " ".join(command)
        lines.append(f"\n```bash\n{text}\n```")
    return "\n".join(lines) + "\n"


def tables(data: dict[str, Any]) -> list[Table]:
    """Records under one heading are the rows of a table."""
    found: dict[str, Table] = {}
    for path, record in _records("", {key: value for key, value in data.items() if key not in ("versions", "commits")}):
        title, _, name = path.rpartition(" / ")
        if path:  # and not the top of the file
            found.setdefault(title, Table(title, {})).rows[name] = record
    return list(found.values())


def _records(path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dict with values that are shown in a cell, by the way to it; an item of a list is a row of its own."""
    if _is_records(value):
        for place, item in enumerate(value):
            yield f"{path} / {place + 1}", _flat(item)
    elif isinstance(value, dict):
        cells = {key: item for key, item in value.items() if not isinstance(item, dict) and not _is_records(item)}
        if cells:
            yield path, cells
        for key, item in value.items():
            if key not in cells:
                yield from _records(f"{path} / {key}" if path else str(key), item)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in record.items():
        if isinstance(value, dict):
            found |= {f"{key} {inner}": item for inner, item in value.items() if not isinstance(item, dict | list)}
        elif not isinstance(value, list):
            found[key] = value
    return found


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _as_markdown(table: Table) -> str:
    columns = list(dict.fromkeys(column for row in table.rows.values() for column in row))
    if len(columns) > len(table.rows) and len(columns) > MANY_COLUMNS:  # as many columns as there were records
        turned = {column: {name: row.get(column) for name, row in table.rows.items()} for column in columns}
        return _as_markdown(Table(table.title, turned))
    same = [column for column in columns if len(table.rows) > 1 and len(_different(table, column)) == 1]
    said = ""
    if len(columns) > MANY_COLUMNS and same:
        first = next(iter(table.rows.values()))
        said = "Of all rows: " + "; ".join(f"{_words(column)} {_value(first[column])}" for column in same) + ".\n\n"
        columns = [column for column in columns if column not in same]
    head = ["", *map(_words, columns)]
    shown = list(table.rows.items())[:MANY_ROWS]
    body = [[_words(name), *(_value(row.get(column)) for column in columns)] for name, row in shown]
    left = len(table.rows) - len(shown)
    return said + _markdown(head, body) + (f"\nand {left} more rows in the file.\n" if left else "")


def _different(table: Table, column: str) -> set[str]:
    return {_value(row.get(column)) for row in table.rows.values()}


def _markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _words(key: str) -> str:
    return str(key).replace("_", " ").replace("*", "\\*")


def _value(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool | str):
        return str(value).replace("*", "\\*")
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def a_study(path: pathlib.Path) -> str:
    """A study: its notes, its figures with their spread, and its pictures."""
    data = json.loads(path.read_text())
    command = data["command"] if isinstance(data["command"], str) else " ".join(data["command"])
    versions = ", ".join(f"{name} {value}" for name, value in data["versions"].items() if value)
    name = path.parent.name
    parts = [
        f"# Study: {name}\n",
        *(f"{note}\n" for note in data["notes"]),
        f"With {versions}.\n",
        f"```bash\n{command}\n```\n",
    ]
    parts += [
        "## Figures\n",
        _figures(data["rows"]),
        "Mean ± standard deviation over the seeds; accuracy of the last epoch.\n",
    ]
    parts += ["## Accuracy after each time-step\n", _per_step(data["rows"])]
    pictures = {"steps": "Accuracy after each time-step", "pareto": "Accuracy against energy and memory"}
    pictures |= {"radar": "Each variant's figures side by side", "curves": "Learning curves with their spread"}
    pictures |= {"gradients": "Each system's gradient against the full one"}
    shown = [
        f"![{text}]({name}/{key}.png)\n" for key, text in pictures.items() if (path.parent / f"{key}.png").exists()
    ]
    return "\n".join(parts + (["## Pictures\n", *shown] if shown else []))


def _figures(rows: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row["figures"]))
    there = [name for name in names if any(_mean(row["figures"].get(name)) is not None for row in rows.values())]
    labels = [FIGURES[name].label if name in FIGURES else _words(name) for name in there]
    digits = [FIGURES[name].digits if name in FIGURES else 3 for name in there]
    body = [
        [name, *(_spread(row["figures"].get(key), places) for key, places in zip(there, digits, strict=True))]
        for name, row in rows.items()
    ]
    return _markdown(["", *labels], body)


def _per_step(rows: dict[str, Any]) -> str:
    longest = max(len(row["accuracy_per_step"]) for row in rows.values())
    steps = [
        step for step in range(1, longest + 1) if step <= 4 or step in (6, 8, 12, 16, 24, 32, 64) or step == longest
    ]
    body = []
    for name, row in rows.items():
        found = row["accuracy_per_step"]
        body.append([name, *(_spread(found[step - 1], 2) if step <= len(found) else NOTHING for step in steps)])
    return _markdown(["accuracy (%) after", *map(str, steps)], body)


def _mean(spread: dict[str, Any] | None) -> float | None:
    return None if spread is None else spread["mean"]


def _spread(spread: dict[str, Any] | None, digits: int) -> str:
    if spread is None or spread["mean"] is None:
        return NOTHING
    deviation = spread.get("deviation")
    return f"{spread['mean']:,.{digits}f}" + ("" if deviation is None else f" ± {deviation:,.{digits}f}")
