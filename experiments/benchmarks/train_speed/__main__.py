"""How fast ResNet-18 learns CIFAR-100 and infers, beside the same network in PyTorch and in SpikingJelly.

`python -m experiments.benchmarks.train_speed` needs the extra `bench`; without SpikingJelly its rows say so. On two
cores it ends within 25 minutes, on a GPU within nine. Sizes are WIDTHxBATCH: of `--sizes` updates and inference are
measured beside eager and compiled PyTorch, of `--stbp-sizes` updates from all time-steps, of `--trainer-sizes` presets
as they are run.

- "t*=…" are single steps of the trainer on a batch that is ready, beside PyTorch's steps on the same batch; so is
  "stbp", the full gradient through time. "inference" is the network as it is trained and evaluated, not deployed.
- "trainer" is a preset as `experiments.train` runs it: resident data, augmentation, many steps per dispatch, random t*.
  "integer forward" and "float forward" choose the arithmetic of convolutions of spikes, which else is, layer by layer,
  the one that was measured to be faster.
- "floor" is the time of the network's own operations at the device's measured limit of products in float32, and
  "matmul" the share of that limit which is reached; "copy" is the share of the bandwidth, by what XLA's program reads
  and writes, cached or not, so that on a CPU it can pass 100 %.
- LIF: the sum over all time-steps online (ours `accumulate`, SpikingJelly's `SLTTLIFNode`) and through time (ours
  `stbp`, SpikingJelly's multi-step `LIFNode`).

Before anything is timed, logits, gradients and first losses from the same arrays must agree; else the benchmark ends
with an error. Implementations take turns, so that what else the machine does falls on all of them.
"""

import argparse
import concurrent.futures
import gc
import os
import pathlib
import time
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # before JAX starts: PyTorch uses the same GPU

import jax
import torch

from experiments.benchmarks import cifar100, report
from experiments.benchmarks.references.torch import forget_compiled
from experiments.benchmarks.train_speed import limits, table, targets
from experiments.benchmarks.train_speed.agreement import check_gradients, check_logits, check_timed
from experiments.benchmarks.train_speed.plan import Clock, Group, Size, build, entries, groups, size_of
from experiments.benchmarks.train_speed.setup import NUM_STEPS, Task, count_work, make_task

ON_CPU: dict[str, Any] = {
    "sizes": [Size(8, 64), Size(16, 64), Size(32, 64), Size(64, 32)],
    "stbp_sizes": [Size(8, 64), Size(64, 32)],
    "trainer_sizes": [],
    "rounds": 3,
    "seconds": 30.0,
    "budget_seconds": 1400.0,
}
ON_GPU: dict[str, Any] = {
    "sizes": [Size(64, 64)],
    "stbp_sizes": [Size(64, 64)],
    "trainer_sizes": [Size(64, 64), Size(64, 256), Size(64, 1024)],
    "rounds": 5,
    "seconds": 5.0,
    "budget_seconds": 480.0,
}


def measure(
    group: Group, task: Task, arguments: argparse.Namespace, clock: Clock, on_gpu: bool, agreement: dict[str, Any]
) -> list[table.Row]:
    """The rows of one group; what agrees with what goes into `agreement`."""
    forget_compiled()
    jax.clear_caches()
    gc.collect()  # what the group before has left would lie between the arrays of this one
    wanted = [entry for entry in entries(group, on_gpu) if clock.allows(entry.title, entry.expected)]
    built = [build(entry, task, clock) for entry in wanted if not entry.is_ours]
    with concurrent.futures.ThreadPoolExecutor(4 if on_gpu else 2) as pool:
        built += pool.map(lambda entry: build(entry, task, clock), [entry for entry in wanted if entry.is_ours])
    members = [member for member in built if member is not None]
    if not members:
        return []
    check_timed(members, on_gpu, agreement)
    if not on_gpu:
        for member in members:
            member.measure_resident_growth()
    started, rounds = time.perf_counter(), 0
    while rounds < arguments.rounds or time.perf_counter() - started < arguments.seconds:
        if rounds and clock.elapsed > clock.budget:
            clock.leave_out(f"{group.name}: rounds from {rounds + 1} on", "the time was used up")
            break
        for member in members:
            member.measure()
        rounds += 1
    work = count_work(task.model, group.size.batch)
    return [row for member in members for row in table.rows_of(member, group, rounds, work)]


def parse() -> argparse.Namespace:
    def sizes(values: list[Size]) -> str:
        return " ".join(map(str, values)) or "none"

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sizes", "stbp_sizes", "trainer_sizes"):
        described = f"{sizes(ON_CPU[name])}, or on a GPU {sizes(ON_GPU[name])}"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=size_of, nargs="*", metavar="WIDTHxBATCH", help=described)
    parser.add_argument("--rounds", type=int, help="at least so many: 3, or 5 on a GPU")
    parser.add_argument("--seconds", type=float, help="more rounds until so many are over: 30, or 5 on a GPU")
    parser.add_argument("--budget-seconds", type=float, help="soft: 1400, or 480 on a GPU")
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def spikingjelly_differences() -> dict[str, str] | str:
    try:
        from experiments.benchmarks.references import spikingjelly  # optional
    except ModuleNotFoundError as error:
        return f"not installed: {error.name}"
    return spikingjelly.DIFFERENCES


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
    for name, value in (ON_GPU if on_gpu else ON_CPU).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    wanted = groups(arguments.sizes, arguments.stbp_sizes, arguments.trainer_sizes)
    if not wanted:
        raise SystemExit("there are no sizes, so nothing is measured; give --sizes, such as --sizes 8x64")
    clock = Clock(started, arguments.budget_seconds)
    limit = limits.measure(on_gpu)
    dataset = cifar100.synthetic()
    rows: list[table.Row] = []
    checked: set[str] = set()
    agreement: dict[str, dict[str, Any]] = {}
    for group in wanted:
        task = make_task(group.network, group.size.width, dataset, group.size.batch)
        checks = agreement.setdefault(f"{group.name}, {' and '.join(group.parts)}", {})
        if group.network not in checked:  # of another width it is the same code
            checked.add(group.network)
            checks |= {"logits": check_logits(task), "gradient": check_gradients(task)}
        measured = measure(group, task, arguments, clock, on_gpu, checks)
        print(f"agreement: {group.name}: {checks}", flush=True)
        table.add_limits(measured, limit)
        rows += measured
        comparison, stbp, summary = targets.compare(rows, on_gpu), targets.compare_stbp(rows), targets.summarise(rows)
        description = {
            "benchmark": "train_speed",
            "threads": threads,
            "load_average_before": load,
            "seconds": clock.elapsed,
            "budget_seconds": arguments.budget_seconds,
            "num_steps": NUM_STEPS,
            "versions": report.versions("jax", "jaxlib", "flax", "torch", "spikingjelly"),
            "limits": limit,
            "comparison": comparison,
            "all_time_steps": stbp,
            "summary": summary,
            "left_out": clock.left_out,
            "agreement": agreement,
            "not_equal_in_spikingjelly": spikingjelly_differences(),
            "rows": rows,
        }
        # After each, so that a run that is cut off leaves what it has.
        report.write(f"train_speed-{report.device_slug()}-jax{jax.__version__}", description, arguments.out)
    table.show(rows, limit)
    targets.show(comparison, stbp, summary)
    for entry in clock.left_out:
        print(f"left out: {entry['configuration']}: {entry['reason']}")
    if load is not None and load > 1:
        print(f"the load average was {load:.1f} before the timing: others used this machine")
    print(f"{clock.elapsed:.0f} s in all")


if __name__ == "__main__":
    main()
