"""The comparison by width with torch.compile, through time with SpikingJelly, and on a GPU: figures beside targets."""

from collections.abc import Iterable
from typing import Any

from experiments.benchmarks import report
from experiments.benchmarks.epoch import EPOCHS, SECONDS_PER_EPOCH, TIMES_SLTT
from experiments.benchmarks.train_speed.cases import EVERY_STEP, INFERENCE
from experiments.benchmarks.train_speed.plan import COMPILED, EAGER, OURS
from experiments.benchmarks.train_speed.setup import HD_LIF, LIF
from experiments.benchmarks.train_speed.table import MEAN, Row

FIRST_STEP = EVERY_STEP[0]
CASES = (MEAN, FIRST_STEP, INFERENCE)
MOST: dict[tuple[str, int], float] = {  # our time by that of torch.compile, on two cores, by case and width
    (MEAN, 64): 0.75,
    (MEAN, 32): 0.9,
    (MEAN, 16): 0.9,
    (MEAN, 8): 1.0,
    (FIRST_STEP, 64): 0.9,
    (INFERENCE, 64): 0.4,
    (INFERENCE, 32): 0.5,
    (INFERENCE, 16): 0.9,
    (INFERENCE, 8): 0.9,
}


def compare(rows: list[Row], on_gpu: bool) -> list[dict[str, Any]]:
    """Ours beside PyTorch, by width, batch and case; the floor is the network's operations at the measured limit."""
    found = []
    for width, batch in dict.fromkeys((row["width"], row["batch"]) for row in rows):
        for case in CASES:
            of_case = {
                row["implementation"]: row
                for row in rows
                if (row["network"], row["precision"]) == (HD_LIF, "float32")
                and (row["width"], row["batch"], row["case"]) == (width, batch, case)
            }
            if OURS not in of_case:
                continue
            ours, compiled, eager = (
                1e3 * of_case[name]["seconds"]["median"] if name in of_case else None
                for name in (OURS, COMPILED, EAGER)
            )
            ratio = ours / compiled if ours and compiled else None
            target = None if on_gpu else MOST.get((case, width))
            found.append(
                {
                    "width": width,
                    "batch": batch,
                    "case": case,
                    "floor_ms": 1e3 * of_case[OURS]["floor_seconds"],
                    "ours_ms": ours,
                    "torch_compile_ms": compiled,
                    "eager_ms": eager,
                    "by_torch_compile": ratio,
                    "target": target,
                    "met": None if ratio is None or target is None else ratio <= target,
                }
            )
    return found


def compare_stbp(rows: list[Row]) -> list[dict[str, Any]]:
    """Updates from all time-steps: time and memory of ours, of PyTorch and of SpikingJelly."""
    return [
        {
            "network": row["network"],
            "width": row["width"],
            "batch": row["batch"],
            "rule": row["case"],
            "implementation": row["implementation"],
            "precision": row["precision"],
            "ms": 1e3 * row["seconds"]["median"],
            "memory_mb": row["memory_mb"],
            "floor_ms": 1e3 * row["floor_seconds"],
        }
        for row in rows
        if row["case"] in ("stbp", "accumulate")
    ]


def summarise(rows: list[Row]) -> dict[str, Any]:
    """The preset as it is run, at its best batch size, and how many times as fast it is as eager PyTorch and as SLTT.

    SpikingJelly's SLTT learns from all time-steps, as our `accumulate` does, and the preset from one.
    """
    found: dict[str, Any] = {}
    trainer = [row for row in rows if row["network"] == HD_LIF and row["case"] == "trainer"]
    if not trainer:
        return found
    best = min(trainer, key=lambda row: row["seconds_per_epoch"])
    found["best"] = {name: best[name] for name in ("width", "batch", "precision", "seconds_per_epoch")}
    found["minutes_for_300_epochs"] = EPOCHS * best["seconds_per_epoch"] / 60
    same_width = [row for row in rows if row["width"] == best["width"]]
    eager = [row for row in same_width if row["implementation"] == EAGER and row["case"] == MEAN]
    sltt = [row for row in same_width if "SLTT" in row["implementation"]]
    online = [
        row
        for row in same_width
        if row["network"] == LIF and row["case"] == "accumulate" and row["implementation"] == OURS
    ]

    def fastest(candidates: Iterable[Row]) -> float | None:
        return min((row["seconds_per_epoch"] for row in candidates), default=None)

    for name, other in {"eager PyTorch": fastest(eager), "SpikingJelly's SLTT": fastest(sltt)}.items():
        if other:
            found[f"trainer, times as fast as {name}"] = other / best["seconds_per_epoch"]
    ours, theirs = fastest(online), fastest(sltt)
    if ours and theirs:
        found["accumulate, times as fast as SpikingJelly's SLTT"] = theirs / ours
    return found


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}"


def _table_of_widths(comparison: list[dict[str, Any]]) -> str:
    columns = ("width, batch, case", "floor", "ours", "torch.compile", "eager", "÷ torch.compile", "target", "")
    lines = []
    for row in comparison:
        ratio = None if row["by_torch_compile"] is None else f"{row['by_torch_compile']:.2f}"
        target = None if row["target"] is None else f"≤ {row['target']}"
        times = [_ms(row[name]) for name in ("floor_ms", "ours_ms", "torch_compile_ms", "eager_ms")]
        verdict = {None: None, True: "met", False: "missed"}[row["met"]]
        lines.append([f"{row['width']}, {row['batch']}, {row['case']}", *times, ratio, target, verdict])
    return report.table(columns, lines)


def _table_of_stbp(stbp: list[dict[str, Any]]) -> str:
    columns = ("network, width, batch", "rule", "implementation", "precision", "floor", "ms", "MB")
    lines = [
        [
            f"{row['network']}, {row['width']}, {row['batch']}",
            *(row[name] for name in ("rule", "implementation", "precision")),
            *(_ms(row[name]) for name in ("floor_ms", "ms", "memory_mb")),
        ]
        for row in stbp
    ]
    return report.table(columns, lines)


def show(comparison: list[dict[str, Any]], stbp: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Prints the comparisons and which targets are met."""
    if comparison:
        print(f"\n{HD_LIF}, milliseconds")
        print(_table_of_widths(comparison))
    if stbp:
        print("\nupdates from all time-steps")
        print(_table_of_stbp(stbp))
    if "best" in summary:
        best = summary["best"]
        print(
            f"\nbest: width {best['width']}, batch {best['batch']}, {best['precision']}: "
            f"{best['seconds_per_epoch']:.1f} s/epoch of the images alone, {EPOCHS} epochs in "
            f"{summary['minutes_for_300_epochs']:.0f} min "
            f"(target at width 64 on an H100: ≤ {SECONDS_PER_EPOCH} s/epoch)"
        )
        for name, ratio in summary.items():
            if "times as fast" in name:
                target = f" (target on an H100: ≥ {TIMES_SLTT})" if "SLTT" in name and "trainer" in name else ""
                print(f"{name}: {ratio:.2f}{target}")
