"""How fast the trainer learns CIFAR-100 with ResNet-18, beside the same network in PyTorch and in SpikingJelly.

`python -m experiments.benchmarks.train_speed` needs the extra `bench`; without SpikingJelly its rows say so. On a GPU
it measures everything in under ten minutes, on a CPU a narrow network in under five (`--full` measures everything there
too).

- "trainer" is a preset as `experiments.train` runs it: resident data, augmentation, many steps per dispatch, random t*.
- "t*=…" are single steps of the trainer on a batch that is ready, beside PyTorch's steps on the same batch; so is
  "stbp", the full gradient through time. "integer forward" and "float forward" choose the arithmetic of convolutions of
  spikes, which else is, layer by layer, the one that was measured to be faster.
- "matmul" and "copy" are shares of the device's measured limits. The first counts the network's own operations, whoever
  does them; the second what XLA's program reads and writes, cached or not, so that on a CPU it can pass 100 %.
- LIF: the sum over all time-steps online (ours `accumulate`, SpikingJelly's `SLTTLIFNode`) and through time (ours
  `stbp`, SpikingJelly's multi-step `LIFNode`).

Before anything is timed, logits, gradients and first losses from the same arrays must agree; else the benchmark ends
with an error. Implementations take turns, so that what else the machine does falls on all of them; torch.compile, which
takes longest to start, comes last.
"""

import argparse
import concurrent.futures
import os
import pathlib
import time
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # before JAX starts: PyTorch uses the same GPU

import jax
import torch

from experiments.benchmarks import report
from experiments.benchmarks.train_speed import limits
from experiments.benchmarks.train_speed.agreement import check_gradients, check_logits, check_losses
from experiments.benchmarks.train_speed.plan import Clock, Group, build, entries, groups
from experiments.benchmarks.train_speed.setup import HD_LIF, LIF, NUM_STEPS, count_work, make_task, synthetic
from experiments.benchmarks.train_speed.table import add_fractions, rows_of, show, summarise


def measure(
    group: Group, arguments: argparse.Namespace, clock: Clock, on_gpu: bool, agreement: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of one group; what agrees with what goes into `agreement`."""
    wanted = [entry for entry in entries(group, arguments.full, on_gpu) if clock.allows(entry.title, entry.expected)]
    if not wanted:
        return []
    task = make_task(group.network, arguments.width, synthetic(), group.batch)
    checks = agreement.setdefault(group.name, {})
    if group.is_first and not group.compiled:
        checks["logits"] = check_logits(task)
        checks["gradient"] = check_gradients(task)
        print(f"agreement: {group.name}: {checks}", flush=True)
    built = [build(entry, task, clock) for entry in wanted if not entry.is_ours]
    with concurrent.futures.ThreadPoolExecutor(4 if on_gpu else 2) as pool:
        built += pool.map(lambda entry: build(entry, task, clock), [entry for entry in wanted if entry.is_ours])
    members = [member for member in built if member is not None]
    check_losses(members, checks.setdefault("first losses", {}))
    if not on_gpu:
        for member in members:
            member.measure_resident_growth()
    for done in range(arguments.rounds):
        if done and clock.elapsed > clock.budget:
            clock.leave_out(f"{group.name}: rounds {done + 1} to {arguments.rounds}", "the time was used up")
            break
        for member in members:
            member.measure()
    work = count_work(task.model, group.batch)
    return [row for member in members for row in rows_of(member, group.network, group.batch, work)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action=argparse.BooleanOptionalAction, help="default: on a GPU")
    parser.add_argument("--width", type=int, help="channels of the first stage; 64, or 8 where not --full")
    parser.add_argument("--batches", type=int, nargs="+", help="64 256 1024, or 64 where not --full")
    parser.add_argument("--rounds", type=int, help="5, or 3 on a CPU")
    parser.add_argument("--budget-seconds", type=float, help="soft; 500, or 260 on a CPU, where --full has none")
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def complete(arguments: argparse.Namespace, on_gpu: bool) -> None:
    """Fills in what depends on the device."""
    if arguments.full is None:
        arguments.full = on_gpu
    arguments.width = arguments.width or (64 if arguments.full else 8)
    arguments.batches = arguments.batches or ([64, 256, 1024] if arguments.full else [64])
    arguments.rounds = arguments.rounds or (5 if on_gpu else 3)
    if arguments.budget_seconds is None:
        arguments.budget_seconds = 500.0 if on_gpu else (float("inf") if arguments.full else 260.0)


def spikingjelly_differences() -> dict[str, str] | str:
    try:
        from experiments.benchmarks.references import spikingjelly  # optional
    except ModuleNotFoundError as error:
        return f"not installed: {error.name}"
    return spikingjelly.DIFFERENCES


def reductions(arguments: argparse.Namespace) -> list[str]:
    """What a run without --full leaves out, and why."""
    if arguments.full:
        return []
    why = "so that all ends in five minutes on two cores, compilation included; --full measures it"
    return [
        f"width {arguments.width} instead of 64, {why}",
        f"batch {', '.join(map(str, arguments.batches))} of 64, 256, 1024, {why}",
        f"bfloat16 only in single steps of {HD_LIF}, {why}",
        f"{HD_LIF} without integer and float forward apart, {why}",
        f"{LIF} without random_step, {why}",
    ]


def main() -> None:
    started, load = time.perf_counter(), report.load_average()
    arguments = parse()
    threads = report.limit_threads(arguments.threads)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")  # TensorFloat-32, as JAX's default is
    torch.backends.cudnn.benchmark = True
    on_gpu = jax.default_backend() == "gpu"
    if on_gpu != torch.cuda.is_available():
        raise SystemExit(
            f"JAX computes on {jax.default_backend()} but torch.cuda.is_available() is {torch.cuda.is_available()}: "
            "nothing could be compared; install both for the same device"
        )
    complete(arguments, on_gpu)
    clock = Clock(started, arguments.budget_seconds)
    limit = limits.measure(on_gpu)
    rows: list[dict[str, Any]] = []
    agreement: dict[str, dict[str, Any]] = {}
    for group in groups(arguments.batches):
        measured = measure(group, arguments, clock, on_gpu, agreement)
        add_fractions(measured, limit)
        rows += measured
        description = {
            "benchmark": "train_speed",
            "threads": threads,
            "load_average_before": load,
            "seconds": clock.elapsed,
            "budget_seconds": arguments.budget_seconds,
            "width": arguments.width,
            "num_steps": NUM_STEPS,
            "rounds": arguments.rounds,
            "versions": report.versions("jax", "jaxlib", "flax", "torch", "spikingjelly"),
            "limits": limit,
            "reduced": reductions(arguments),
            "left_out": clock.left_out,
            "agreement": agreement,
            "not_equal_in_spikingjelly": spikingjelly_differences(),
            "summary": summarise(rows),
            "rows": rows,
        }
        # After each, so that a run that is cut off leaves what it has.
        report.write(f"train_speed-{report.device_slug()}", description, arguments.out)
    show(rows, limit, summarise(rows))
    for name, values in agreement.items():
        print(f"agreement, {name}: {values}")
    for line in reductions(arguments):
        print(f"reduced: {line}")
    for entry in clock.left_out:
        print(f"left out: {entry['configuration']}: {entry['reason']}")
    if load is not None and load > 1:
        print(f"the load average was {load:.1f} before the timing: others used this machine")
    print(f"{clock.elapsed:.0f} s in all")


if __name__ == "__main__":
    main()
