"""What is measured in which order, and what is left out where there is no time for it."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.benchmarks.train_speed.cases import Implementation, OurStep, OurTrainer, SpikingJelly, Torch
from experiments.benchmarks.train_speed.setup import HD_LIF, LIF, Task


def groups(batches: list[int]) -> list["Group"]:
    """All groups at these batch sizes, what matters least at the end, where a budget cuts it."""
    found = [Group(HD_LIF, batch, batch == batches[0]) for batch in batches]
    return [*found, Group(LIF, batches[0]), *(group._replace(compiled=True) for group in found)]


class Group(NamedTuple):
    """What is timed in turns: a network at a batch size, or the same under torch.compile, which takes long to start.

    Attributes:
      network: name of its preset.
      batch: images of an update.
      is_first: whether this is the batch size at which networks are checked, and all there is measured.
      compiled: whether this is torch.compile.
    """

    network: str
    batch: int
    is_first: bool = True
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


class Entry(NamedTuple):
    """What is to be measured.

    Attributes:
      title: in messages.
      expected: seconds until it is ready.
      is_ours: XLA compiles several side by side where there are cores for it.
      make: the implementation from its task.
    """

    title: str
    expected: float
    is_ours: bool
    make: Callable[[Task], Implementation]


def entries(group: Group, full: bool, on_gpu: bool) -> list[Entry]:
    """What is measured of a group, most important first."""
    ours, torch_, compile_ = (40, 30, 90) if on_gpu else (30, 15, 80)
    found: list[Entry] = []

    def add(kind: Callable[..., Implementation], name: str, expected: float, **options: Any) -> None:
        title = f"{group.name}: {name}, {options.get('precision', 'float32')}"
        is_ours = kind in (OurStep, OurTrainer)
        found.append(Entry(title, expected, is_ours, lambda task: kind(name, task, **options)))

    if group.compiled:
        add(Torch, "PyTorch torch.compile", compile_, compiled=True)
    elif group.network == LIF:
        add(SpikingJelly, "SpikingJelly SLTTLIFNode, online", torch_, online=True)
        add(SpikingJelly, "SpikingJelly LIFNode, multi-step", torch_, online=False)
        for rule in ("accumulate", "stbp"):
            add(OurStep, f"hdlif_jax {rule}", ours, rule=rule)
        if full:
            add(OurStep, "hdlif_jax random_step", ours)
            for rule in ("random_step", "accumulate", "stbp"):
                add(OurStep, f"hdlif_jax {rule}", ours, rule=rule, precision="bfloat16")
    else:
        add(Torch, "PyTorch eager", torch_)
        add(OurStep, "hdlif_jax", ours)
        add(OurTrainer, "hdlif_jax trainer", ours)
        add(OurStep, "hdlif_jax", ours, precision="bfloat16")
        if full:
            add(OurTrainer, "hdlif_jax trainer", ours, precision="bfloat16")
        if group.is_first:
            add(Torch, "PyTorch eager, stbp", torch_, rule="stbp")
            add(OurStep, "hdlif_jax stbp", ours, rule="stbp")
        if group.is_first and full:
            add(OurStep, "hdlif_jax, integer forward", ours, integer=True)
            add(OurStep, "hdlif_jax, float forward", ours, integer=False)
    return found


def build(entry: Entry, task: Task, clock: Clock) -> Implementation | None:
    """One implementation, or None where there is no time or it is not to be had, which is listed."""
    if not clock.allows(entry.title, entry.expected):
        return None
    start = time.perf_counter()
    try:
        built = entry.make(task)
    except ModuleNotFoundError as error:
        clock.leave_out(entry.title, f"not installed: {error.name}")
        return None
    except RuntimeError as error:  # out of memory, or a kernel that a library cannot build here
        clock.leave_out(entry.title, f"failed: {error}")
        return None
    passed = time.perf_counter() - start
    clock.pace = max(clock.pace, passed / entry.expected)
    print(f"ready: {entry.title}: {passed:.1f} s", flush=True)
    return built
