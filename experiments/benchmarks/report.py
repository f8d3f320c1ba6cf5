"""What the benchmarks have in common: what the machine was like, the table they print and the JSON they write."""

import importlib.metadata
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from hdlif_jax.commands.support.pages import large_pages
from hdlif_jax.commands.support.run_directory import device_name

RESULTS = pathlib.Path(__file__).parent / "results"


def device_slug() -> str:
    """The device in a file's name: "cpu", or for example "nvidia-h100-80gb-hbm3"."""
    return jax.devices()[0].device_kind.lower().replace(" ", "-").replace("/", "-")


def limit_threads(threads: int | None) -> int:
    """Binds the process to so many cores, before XLA makes its pool of one thread per core; None takes all."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    if threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    return len(os.sched_getaffinity(0))


def load_average() -> float | None:
    """Processes that wanted to run in the last minute; measure it before the benchmark adds its own."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def versions(*packages: str) -> dict[str, str | None]:
    """Installed versions; None for what is not there."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Text with the first column to the left and the others to the right; None is an empty cell."""
    cells = [["" if value is None else str(value) for value in row] for row in [columns, *rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = (
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def write(name: str, report: dict[str, Any], folder: pathlib.Path = RESULTS) -> pathlib.Path:
    """Writes `folder/name.json`, with the device and its pages of memory beside the figures, and says where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"device": device_name(), "large_pages": large_pages()} | report, indent=2) + "\n")
    print(f"written to {path}")
    return path
