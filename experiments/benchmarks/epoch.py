"""Time of an epoch of the paper's main row as `experiments.train` runs it, by batch size and precision.

`python -m experiments.benchmarks.epoch [--batches 64 256 1024] [--precisions float32 bfloat16] [--epochs 1]`. It needs
the package and what that is installed with, and Pillow where it reads parts. CIFAR-100, prepared or its parts, is read
from $HDLIF_DATA_DIR; where it is not there, random images of the same shape take its place, which the output says.

An epoch is all updates over the training set, which is on the device, with the preset's augmentation and random t*.
"compile" is the time until the first updates are done. The test set is not looked at. The loss is the mean of the first
and of the last tenth of the timed updates, so that it can be seen that something is learned.
"""

import argparse
import dataclasses
import os
import pathlib
import time
from typing import Any, Literal

import jax
import numpy as np

from experiments.benchmarks import report
from experiments.benchmarks.cifar100 import load
from hdlif_jax import data
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.presets import PRESETS

Precision = Literal["bfloat16", "float32"]

PRESET = "cifar100-resnet18-ternary-4bit-parallel"
EPOCHS = 300
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
SECONDS_PER_EPOCH, TIMES_SLTT = 2.0, 5.0  # targets on an H100: at most, and at least


def measure(dataset: data.Dataset, batch: int, precision: Precision, options: argparse.Namespace) -> dict[str, Any]:
    """A row: seconds of compilation and of each epoch, and losses."""
    config = PRESETS[PRESET].config
    model = dataclasses.replace(config.model, width=options.width)
    recipe = dataclasses.replace(config.data, validation_fraction=0.0)
    config = dataclasses.replace(config, model=model, data=recipe, batch_size=batch, precision=precision)
    trainer = make_trainer(config, dataset)
    runner, state, at = trainer.runner(), trainer.initial_state, 0
    started = time.perf_counter()
    ran = runner.run(state, at, trainer.plan.total_steps)
    jax.block_until_ready(ran.metrics)
    compile_seconds = time.perf_counter() - started
    state, at = ran.state, ran.num_steps
    seconds, losses = [], []
    for _ in range(options.epochs):
        started, end = time.perf_counter(), at + trainer.plan.steps_per_epoch
        while at < end:
            ran = runner.run(state, at, end)
            losses.append((ran.metrics.loss, ran.num_steps))
            state, at = ran.state, at + ran.num_steps
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - started)
    runner.close()
    values = np.concatenate([np.asarray(loss)[:count] for loss, count in losses])
    tenth = max(1, len(values) // 10)
    return {
        "batch": batch,
        "precision": precision,
        "compile_seconds": compile_seconds,
        "seconds_per_epoch": min(seconds),
        "seconds_of_epochs": seconds,
        "updates_per_epoch": trainer.plan.steps_per_epoch,
        "images_per_second": trainer.plan.steps_per_epoch * batch / min(seconds),
        "loss_at_first": float(values[:tenth].mean()),
        "loss_at_last": float(values[-tenth:].mean()),
    }


def show(rows: list[dict[str, Any]]) -> str:
    columns = ("batch, precision", "s/epoch", "images/s", "compile (s)", "loss, first tenth", "last tenth")
    return report.table(
        columns,
        [
            [
                f"{row['batch']}, {row['precision']}",
                f"{row['seconds_per_epoch']:.2f}",
                f"{row['images_per_second']:.0f}",
                f"{row['compile_seconds']:.1f}",
                f"{row['loss_at_first']:.3f}",
                f"{row['loss_at_last']:.3f}",
            ]
            for row in rows
        ],
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--epochs", type=int, default=1, help="that are timed; the fastest counts")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--images", type=int, help="of the training set; all by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def main() -> None:
    options, load_average = parse(), report.load_average()
    folder = os.environ.get("HDLIF_DATA_DIR")
    dataset, source = load(pathlib.Path(folder) if folder else None)
    if options.images:
        dataset = dataclasses.replace(dataset, train=dataset.train.read(np.arange(options.images)))
    print(f"CIFAR-100: {source}, {dataset.train.shape[0]} training images", flush=True)
    rows: list[dict[str, Any]] = []
    for precision in options.precisions:
        for batch in options.batches:
            rows.append(measure(dataset, batch, precision, options))
            best = min(rows, key=lambda row: row["seconds_per_epoch"])
            description = {
                "benchmark": "epoch",
                "preset": PRESET,
                "load_average_before": load_average,
                "data": source,
                "images": dataset.train.shape[0],
                "width": options.width,
                "versions": report.versions("jax", "jaxlib", "flax"),
                "best": {name: best[name] for name in ("batch", "precision", "seconds_per_epoch")},
                "rows": rows,
            }
            # After each, so that a run that is cut off leaves what it has.
            report.write(f"epoch-{report.device_slug()}", description, options.out)
    print(f"\n{PRESET}, width {options.width}, {report.device_name()}, data: {source}")
    print(show(rows))
    seconds = best["seconds_per_epoch"]
    print(
        f"best: batch {best['batch']}, {best['precision']}: {seconds:.2f} s/epoch, {EPOCHS} epochs in "
        f"{EPOCHS * seconds / 60:.1f} min (target at width 64 on an H100: ≤ {SECONDS_PER_EPOCH} s/epoch)"
    )


if __name__ == "__main__":
    main()
