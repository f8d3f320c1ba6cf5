"""The training speed of two checkouts of this repository, through the command line alone.

`python -m experiments.benchmarks.checkouts OLD NEW [--rounds 3] -- PRESET --options…` trains with
`python -m experiments.train PRESET --options…` in both folders in turns, so that what else the machine does falls on
both, and compares what the runs' summary.json say. Both use this interpreter and its packages, and each has a
compilation cache of its own, which only the first of its runs has to fill.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from experiments.benchmarks import report

FIGURES = ("step_milliseconds", "train_seconds")


def train(checkout: pathlib.Path, words: list[str], run: pathlib.Path, cache: pathlib.Path) -> dict[str, Any]:
    """The summary of one run.

    Raises:
      SystemExit: the run failed; shows what it said.
    """
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-m", "experiments.train", *words, "--out", str(run)]
    result = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{checkout}: python -m experiments.train {' '.join(words)} failed:\n{result.stderr}")
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def commit(checkout: pathlib.Path) -> str | None:
    """The commit of a checkout, with "-dirty" where files were changed since; None where it is no repository."""
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def compare(summaries: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians of each figure by checkout and their ratio, None where a run was too short to time, and accuracies."""
    found: dict[str, Any] = {}
    for figure in FIGURES:
        values = {name: [run[figure] for run in runs] for name, runs in summaries.items()}
        medians = {name: None if None in row else statistics.median(row) for name, row in values.items()}
        old, new = medians["old"], medians["new"]
        found[figure] = medians | {"ratio": new / old if old and new else None, "runs": values}
    accuracies = {name: [run["test_accuracy"] for run in runs] for name, runs in summaries.items()}
    return found | {"test_accuracy": accuracies, "same_accuracy": len({*accuracies["old"], *accuracies["new"]}) == 1}


def show(comparison: dict[str, Any]) -> str:
    rows = []
    for figure in FIGURES:
        values = comparison[figure]
        rows.append(
            [figure, *(None if (v := values[name]) is None else f"{v:.3f}" for name in ("old", "new", "ratio"))]
        )
    agree = "identical" if comparison["same_accuracy"] else "NOT identical"
    table = report.table(("median", "old", "new", "new / old"), rows)
    return f"{table}\ntest accuracies are {agree}: {comparison['test_accuracy']}"


def parse() -> tuple[argparse.Namespace, list[str]]:
    own, words = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, words = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s OLD NEW [--rounds 3] [--out FOLDER] -- PRESET [--options …]",
    )
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args(own)
    if not words or words[0].startswith("-") or "--out" in words:
        parser.error("after -- comes a preset, then its options without --out, e.g. -- digits --epochs 5")
    for checkout in (arguments.old, arguments.new):
        if not (checkout / "experiments" / "train.py").is_file():
            parser.error(f"{checkout} is no checkout: it has no experiments/train.py")
    return arguments, words


def main() -> None:
    arguments, words = parse()
    load = report.load_average()
    checkouts = {"old": arguments.old.resolve(), "new": arguments.new.resolve()}
    summaries: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for number in range(arguments.rounds):
            for name in list(checkouts)[:: 1 if number % 2 == 0 else -1]:  # first and second in turns, too
                summary = train(checkouts[name], words, scratch / f"{name}-{number}", scratch / f"{name}-cache")
                summaries[name].append(summary)
                figures = ", ".join(f"{figure} {summary[figure]}" for figure in (*FIGURES, "test_accuracy"))
                print(f"round {number + 1}, {name}: {figures}", flush=True)
    comparison = compare(summaries)
    print(f"\n{' '.join(words)}\n{show(comparison)}")
    description = {
        "benchmark": "checkouts",
        "load_average_before": load,
        "commits": {name: commit(checkout) for name, checkout in checkouts.items()},
        "command": f"python -m experiments.train {' '.join(words)}",
        "rounds": arguments.rounds,
        "versions": report.versions("jax", "jaxlib", "flax", "optax"),
    }
    # The name asks for the device, which on a GPU this process must leave to the runs until they are done.
    report.write(f"checkouts-{report.device_slug()}", description | comparison, arguments.out)


if __name__ == "__main__":
    main()
