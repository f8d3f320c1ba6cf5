"""How fast the trainer learns CIFAR-100 with ResNet-18, beside the same network in PyTorch and in SpikingJelly.

`python -m benchmarks.train_speed` needs the extra `bench`; without SpikingJelly its rows say so. On a GPU it measures
everything in under ten minutes, on a CPU a narrow network in under five (`--full` measures everything there too).

- "trainer" is a preset as `experiments.train` runs it: resident data, augmentation, many steps per dispatch, random t*.
- "t*=…" are single steps of the trainer on a batch that is ready, beside PyTorch's steps on the same batch.
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
from typing import NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # before JAX starts: PyTorch uses the same GPU

import jax
import torch

from benchmarks import limits, report
from benchmarks.train_speed_agreement import check_gradients, check_logits, check_losses
from benchmarks.train_speed_cases import Ours, SpikingJelly, Torch
from benchmarks.train_speed_setup import HD_LIF, LIF, NUM_STEPS, count_work, fixed_batch, model_of, synthetic
from benchmarks.train_speed_table import add_fractions, rows_of, show, summarise


class Group(NamedTuple):
    """What is timed in turns: a network at a batch size, or the same under torch.compile, which takes long to start."""

    network: str
    batch: int
    compiled: bool = False

    @property
    def name(self) -> str:
        return f"{self.network}, batch {self.batch}"


class Clock:
    """The soft limit: what is not expected to end in time is left out, and listed.

    `pace` is how much longer than expected things took so far, on a slower or busy machine.
    """

    def __init__(self, start: float, budget: float):
        self.start, self.budget, self.pace = start, budget, 1.0
        self.left_out: list[dict[str, str]] = []

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def allows(self, name: str, expected: float) -> bool:
        expected *= self.pace
        if self.elapsed + expected <= self.budget:
            return True
        reason = f"{self.elapsed:.0f} s of {self.budget:.0f} s were used and it was expected to take {expected:.0f} s"
        self.leave_out(name, reason)
        return False

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out.append({"configuration": name, "reason": reason})


def implementations(group: Group, full: bool, on_gpu: bool):
    """What is measured of a group, most important first: (name, expected seconds, constructor)."""
    ours, torch_, compile_ = (40, 30, 90) if on_gpu else (30, 15, 80)
    found = []

    def add(name, expected, kind, precision="float32", **options):
        if kind is Ours:
            options["precision"] = precision
        title = f"{group.name}: {name}, {precision}"
        found.append((title, expected, lambda *shared: kind(name, *shared, **options)))

    if group.compiled:
        add("PyTorch torch.compile", compile_, Torch, compiled=True)
    elif group.network == LIF:
        add("SpikingJelly SLTTLIFNode, online", torch_, SpikingJelly, online=True)
        add("SpikingJelly LIFNode, multi-step", torch_, SpikingJelly, online=False)
        for rule in ("accumulate", "stbp"):
            add(f"hdlif_jax {rule}", ours, Ours, rule=rule)
        if full:
            add("hdlif_jax random_step", ours, Ours)
            for rule in ("random_step", "accumulate", "stbp"):
                add(f"hdlif_jax {rule}", ours, Ours, "bfloat16", rule=rule)
    else:
        add("PyTorch eager", torch_, Torch, compiled=False)
        add("hdlif_jax", ours, Ours)
        add("hdlif_jax trainer", ours, Ours, resident=True)
        add("hdlif_jax", ours, Ours, "bfloat16")
        if full:
            add("hdlif_jax trainer", ours, Ours, "bfloat16", resident=True)
    return found


def build(entry, shared: tuple, clock: Clock):
    """One implementation, or None where there is no time or it is not to be had, which is listed."""
    title, expected, constructor = entry
    if not clock.allows(title, expected):
        return None
    start = time.perf_counter()
    try:
        built = constructor(*shared)
    except ModuleNotFoundError as error:
        clock.leave_out(title, f"not installed: {error.name}")
        return None
    except RuntimeError as error:  # out of memory, or a kernel that a library cannot build here
        clock.leave_out(title, f"failed: {error}")
        return None
    passed = time.perf_counter() - start
    clock.pace = max(clock.pace, passed / expected)
    print(f"ready: {title}: {passed:.1f} s", flush=True)
    return built


def measure(group: Group, arguments, clock: Clock, on_gpu: bool, agreement: dict) -> list[dict]:
    """The rows of one group; what agrees with what goes into `agreement`."""
    wanted = [entry for entry in implementations(group, arguments.full, on_gpu) if clock.allows(entry[0], entry[1])]
    if not wanted:
        return []
    dataset = synthetic()
    model = model_of(group.network, arguments.width)
    images, labels = fixed_batch(dataset, group.batch)
    checks = agreement.setdefault(group.name, {})
    if group.batch == arguments.batches[0] and not group.compiled:
        checks["logits"] = check_logits(model, arguments.width, group.network == LIF, images, labels)
        checks["gradient"] = check_gradients(group.network, arguments.width, dataset)
        print(f"agreement: {group.name}: {checks}", flush=True)
    shared = group.network, arguments.width, dataset, model, images, labels
    ours = [entry for entry in wanted if "hdlif_jax" in entry[0]]
    members = [build(entry, shared, clock) for entry in wanted if entry not in ours]
    # XLA compiles several programs side by side where there are cores for it.
    with concurrent.futures.ThreadPoolExecutor(4 if on_gpu else 2) as pool:
        members += pool.map(lambda entry: build(entry, shared, clock), ours)
    members = [member for member in members if member is not None]
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
    work = count_work(model, group.batch)
    return [row for member in members for row in rows_of(member, group.network, group.batch, work)]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action=argparse.BooleanOptionalAction, help="default: on a GPU")
    parser.add_argument("--width", type=int, help="channels of the first stage; 64, or 8 where not --full")
    parser.add_argument("--batches", type=int, nargs="+", help="64 256 1024, or 64 where not --full")
    parser.add_argument("--rounds", type=int, help="5, or 3 on a CPU")
    parser.add_argument("--budget-seconds", type=float, help="soft; 500, or 260 on a CPU, where --full has none")
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def complete(arguments, on_gpu: bool) -> None:
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
        from benchmarks.spikingjelly_reference import DIFFERENCES  # optional
    except ModuleNotFoundError as error:
        return f"not installed: {error.name}"
    return DIFFERENCES


def reductions(arguments) -> list[str]:
    """What a run without --full leaves out, and why."""
    if arguments.full:
        return []
    why = "so that all ends in five minutes on two cores, compilation included; --full measures it"
    return [
        f"width {arguments.width} instead of 64, {why}",
        f"batch {', '.join(map(str, arguments.batches))} of 64, 256, 1024, {why}",
        f"bfloat16 only in single steps of {HD_LIF}, {why}",
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
    rows: list[dict] = []
    agreement: dict[str, dict] = {}
    groups = [Group(HD_LIF, batch) for batch in arguments.batches]  # a budget cuts what matters least, at the end
    groups += [Group(LIF, arguments.batches[0]), *(group._replace(compiled=True) for group in groups)]
    for group in groups:
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
