"""What to run next, in words, from the figures of `gpu.sh`: `python -m experiments.benchmarks.next_steps FOLDER`."""

import argparse
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from experiments.benchmarks import report
from experiments.benchmarks.epoch import EPOCHS, PRESET, SECONDS_PER_EPOCH, TIMES_SLTT
from hdlif_jax.commands.presets import PRESETS

SLTT = "trainer, times as fast as SpikingJelly's SLTT"
KNOWN_BY = {"train_speed": "comparison", "epoch": "best"}  # what reports of earlier versions lack
AGAIN = "experiments/benchmarks/gpu.sh"


def newest(folder: pathlib.Path, name: str) -> dict[str, Any] | None:
    """The report of a benchmark on this device that was written last, in the form it has now; None without one."""
    files = sorted(folder.glob(f"{name}-{report.device_slug()}*.json"), key=lambda file: file.stat().st_mtime)
    reports: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]
    return next((found for found in reversed(reports) if KNOWN_BY[name] in found), None)


def about_epoch(epoch: dict[str, Any] | None, speed: dict[str, Any] | None) -> Iterator[str]:
    """Whether an epoch is fast enough, and the whole training, or where to look first."""
    if epoch is None:
        yield f"No epoch was timed. Next: `{AGAIN} epoch`."
        return
    best, config = epoch["best"], PRESETS[PRESET].config
    seconds = best["seconds_per_epoch"]
    met = seconds <= SECONDS_PER_EPOCH
    yield (
        f"An epoch takes {seconds:.2f} s at batch {best['batch']} in {best['precision']} ({epoch['images']} images, "
        f"data: {epoch['data']}, width {epoch['width']}); the target, ≤ {SECONDS_PER_EPOCH} s, is {verdict(met)}."
    )
    if epoch["data"].startswith("random"):
        yield f"That was without CIFAR-100. Next: `HDLIF_DATA_DIR=FOLDER {AGAIN} epoch`, FOLDER with it or its parts."
    fraction = _fraction_of_limit(speed)
    if not met and fraction is not None:
        yield (
            f"The trainer reaches {fraction:.0%} of the measured limit of matrix products. Next, where the rest goes: "
            f"`python -m experiments.train {PRESET} --precision {best['precision']} --profile`."
        )
    command = "experiments/cifar100.sh FILES"
    if best["batch"] != config.batch_size:
        rate = config.optimizer.learning_rate * best["batch"] / config.batch_size
        options = f"--precision {best['precision']} --batch-size {best['batch']} --optimizer.learning-rate {rate:g}"
        yield f"{EPOCHS} epochs so take {EPOCHS * seconds / 60:.0f} min, evaluation apart: `{command} {options}`."
    own = [row for row in epoch["rows"] if row["batch"] == config.batch_size]
    if own:
        fastest = min(own, key=lambda row: row["seconds_per_epoch"])
        yield (
            f"{EPOCHS} epochs with the paper's batch of {config.batch_size} take "
            f"{EPOCHS * fastest['seconds_per_epoch'] / 60:.0f} min, evaluation apart: "
            f"`{command} --precision {fastest['precision']}`."
        )


def verdict(met: bool) -> str:
    return "met" if met else "missed"


def _fraction_of_limit(speed: dict[str, Any] | None) -> float | None:
    rows = [] if speed is None else speed["rows"]
    return max((row["fraction_of_matmul"] for row in rows if row["case"] == "trainer"), default=None)


def about_peers(speed: dict[str, Any] | None) -> Iterator[str]:
    """How the trainer stands beside SpikingJelly, and what was left out."""
    if speed is None:
        yield f"Nothing was compared with other libraries. Next: `{AGAIN} train_speed`."
        return
    ratio = speed["summary"].get(SLTT)
    if ratio is not None:
        met = verdict(ratio >= TIMES_SLTT)
        yield f"The trainer is {ratio:.1f} times as fast as SpikingJelly's SLTT; the target, ≥ {TIMES_SLTT}, is {met}."
    else:
        yield f"SpikingJelly's SLTT was not measured. Next: install the extra `bench`, then `{AGAIN} train_speed`."
    for row in speed["comparison"]:
        if row["by_torch_compile"] is not None:
            yield f"Width {row['width']}, {row['case']}: {row['by_torch_compile']:.2f} of torch.compile's time."
    if speed["left_out"]:
        names = "; ".join(entry["configuration"] for entry in speed["left_out"])
        yield f"Left out of train_speed: {names}. Next: `{AGAIN} train_speed`, alone, which then has all of the time."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="with the JSON files")
    folder = parser.parse_args().folder
    speed = newest(folder, "train_speed")
    for line in [*about_epoch(newest(folder, "epoch"), speed), *about_peers(speed)]:
        print(f"- {line}")


if __name__ == "__main__":
    main()
