"""What the times become: a row per case, its share of the device's limits, and all rows as text."""

from typing import Any

from experiments.benchmarks import report
from experiments.benchmarks.train_speed.cases import EVERY_STEP, INFERENCE, Implementation
from experiments.benchmarks.train_speed.plan import Group
from experiments.benchmarks.train_speed.setup import NUM_IMAGES, NUM_STEPS, Work

MEAN = "mean over t*"

Row = dict[str, Any]
Limits = dict[str, dict[str, float]]  # see `limits.measure`


def rows_of(member: Implementation, group: Group, rounds: int, work: Work) -> list[Row]:
    """What was measured of one implementation, a row per case."""
    rows, batch = [], group.size.batch
    timings = {case: member.timing(case) for case in member.cases}
    if set(EVERY_STEP) <= set(timings):
        timings[MEAN] = {
            statistic: sum(timings[case][statistic] for case in EVERY_STEP) / NUM_STEPS
            for statistic in timings[EVERY_STEP[0]]
        }
    for case, timing in timings.items():
        rows.append(
            {
                "network": group.network,
                "width": group.size.width,
                "batch": batch,
                "implementation": member.name,
                "precision": member.precision,
                "case": case,
                "rounds": rounds,
                "seconds": timing,
                "images_per_second": batch / timing["median"],
                "seconds_per_epoch": None if case == INFERENCE else NUM_IMAGES / batch * timing["median"],
                "memory_mb": member.memory_mb,
                "memory_is": member.memory_is,
                "flop": work.flops(case),
                "bytes": member.bytes_of(case),
            }
        )
    return rows


def add_limits(rows: list[Row], limit: Limits) -> None:
    """The time at the device's measured limits, and how much of them each row reaches.

    The work is the network's, whoever does it, and the limit that of products in the row's precision.
    """
    for row in rows:
        seconds = row["seconds"]["median"]
        row["floor_seconds"] = row["flop"] / (1e12 * limit[f"{row['precision']}_tflops"]["best"])
        row["fraction_of_matmul"] = row["floor_seconds"] / seconds
        row["fraction_of_bandwidth"] = (
            None if row["bytes"] is None else row["bytes"] / seconds / (1e9 * limit["copy_gb_per_s"]["best"])
        )


def show(rows: list[Row], limit: Limits) -> None:
    """Prints every row."""
    times = ("ms", "least", "cpu")
    columns = ("implementation", "precision", "case", *times, "images/s", "s/epoch", "MB", "matmul", "copy")

    def text(form: str, value: float | None) -> str | None:
        return None if value is None else form.format(value)

    for network, width, batch in dict.fromkeys((row["network"], row["width"], row["batch"]) for row in rows):
        print(f"\n{network}, width {width}, batch {batch}")
        lines = [
            [
                row["implementation"],
                row["precision"],
                row["case"],
                *(f"{1e3 * row['seconds'][name]:.1f}" for name in ("median", "least", "processor")),
                f"{row['images_per_second']:.0f}",
                text("{:.1f}", row["seconds_per_epoch"]),
                text("{:.0f}", row["memory_mb"]),
                text("{:.1%}", row["fraction_of_matmul"]),
                text("{:.1%}", row["fraction_of_bandwidth"]),
            ]
            for row in rows
            if (row["network"], row["width"], row["batch"]) == (network, width, batch)
        ]
        print(report.table(columns, lines))
    print("\nlimits: " + ", ".join(f"{name} {values['best']:.3g}" for name, values in limit.items()))
