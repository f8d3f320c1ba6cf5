"""What the times become: rows, shares of the device's limits, the summary, the table."""

from typing import Any

from experiments.benchmarks import report
from experiments.benchmarks.train_speed.cases import EVERY_STEP, Implementation
from experiments.benchmarks.train_speed.setup import HD_LIF, NUM_IMAGES, NUM_STEPS, Work

EPOCHS, TARGET_SECONDS, TARGET_RATIO = 300, 4.0, 8.0
MEAN = "mean over t*"
EAGER = "PyTorch eager"


Limits = dict[str, dict[str, float]]  # see `limits.measure`


def rows_of(member: Implementation, network: str, batch: int, work: Work) -> list[dict[str, Any]]:
    """What was measured of one implementation, a row per case."""
    rows = []
    timings = {case: member.timing(case) for case in member.cases}
    if set(EVERY_STEP) <= set(timings):
        timings[MEAN] = {
            statistic: sum(timings[case][statistic] for case in EVERY_STEP) / NUM_STEPS
            for statistic in timings[EVERY_STEP[0]]
        }
    for case, timing in timings.items():
        flops = work.flops(case)
        rows.append(
            {
                "network": network,
                "batch": batch,
                "implementation": member.name,
                "precision": member.precision,
                "case": case,
                "seconds": timing,
                "images_per_second": batch / timing["median"],
                "seconds_per_epoch": NUM_IMAGES / batch * timing["median"],
                "memory_mb": member.memory_mb,
                "memory_is": member.memory_is,
                "flop": flops,
                "bytes": member.bytes_of(case),
            }
        )
    return rows


def add_fractions(rows: list[dict[str, Any]], limit: Limits) -> None:
    """How much of the device's measured limits each row reaches; the work is the network's, whoever does it."""
    for row in rows:
        seconds = row["seconds"]["median"]
        row["fraction_of_matmul"] = row["flop"] / seconds / (1e12 * limit[f"{row['precision']}_tflops"]["best"])
        row["fraction_of_bandwidth"] = (
            None if row["bytes"] is None else row["bytes"] / seconds / (1e9 * limit["copy_gb_per_s"]["best"])
        )


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The preset at its best batch size, and the ratios to eager PyTorch at batch 64, which the targets are about."""
    found: dict[str, Any] = {}
    trainer = [row for row in rows if row["network"] == HD_LIF and row["case"] == "trainer"]
    if trainer:
        best = min(trainer, key=lambda row: row["seconds_per_epoch"])
        found["best"] = {name: best[name] for name in ("batch", "precision", "seconds_per_epoch")}
        found["minutes_for_300_epochs"] = EPOCHS * best["seconds_per_epoch"] / 60
    at_64 = [row for row in rows if row["network"] == HD_LIF and row["batch"] == 64]
    eager = {row["case"]: row["seconds"]["median"] for row in at_64 if row["implementation"].startswith(EAGER)}
    for row in at_64:
        expected = eager.get({"trainer": MEAN}.get(row["case"], row["case"]))
        if expected and row["case"] in (MEAN, "trainer", "stbp") and not row["implementation"].startswith(EAGER):
            name = f"{row['implementation']}, {row['precision']}, {row['case']}"
            found.setdefault("times_as_fast_as_eager_at_batch_64", {})[name] = expected / row["seconds"]["median"]
    return found


def show(rows: list[dict[str, Any]], limit: Limits, summary: dict[str, Any]) -> None:
    columns = (
        "implementation",
        "precision",
        "case",
        "ms",
        "least",
        "cpu",
        "images/s",
        "s/epoch",
        "MB",
        "matmul",
        "copy",
    )
    percent = "{:.1f} %".format
    for network, batch in dict.fromkeys((row["network"], row["batch"]) for row in rows):
        print(f"\n{network}, batch {batch}")
        lines = []
        for row in rows:
            if (row["network"], row["batch"]) == (network, batch):
                timing = [f"{1e3 * row['seconds'][name]:.1f}" for name in ("median", "least", "processor")]
                memory = None if row["memory_mb"] is None else f"{row['memory_mb']:.0f}"
                copied = row["fraction_of_bandwidth"]
                speed = f"{row['images_per_second']:.0f}", f"{row['seconds_per_epoch']:.1f}"
                reached = percent(100 * row["fraction_of_matmul"]), None if copied is None else percent(100 * copied)
                lines.append([row["implementation"], row["precision"], row["case"], *timing, *speed, memory, *reached])
        print(report.table(columns, lines))
    print("\nlimits: " + ", ".join(f"{name} {values['best']:.3g}" for name, values in limit.items()))
    if "best" in summary:
        best = summary["best"]
        print(
            f"best: batch {best['batch']}, {best['precision']}: {best['seconds_per_epoch']:.1f} s/epoch of "
            f"{NUM_IMAGES} images, {EPOCHS} epochs in {summary['minutes_for_300_epochs']:.0f} min "
            f"(target ≤ {TARGET_SECONDS} s/epoch, full width on an H100)"
        )
    for name, ratio in summary.get("times_as_fast_as_eager_at_batch_64", {}).items():
        print(f"{name}: {ratio:.2f} × as fast as PyTorch eager (target for the trainer on an H100: {TARGET_RATIO} ×)")
