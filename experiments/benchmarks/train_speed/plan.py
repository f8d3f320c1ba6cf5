"""What is measured in which order, and what is left out where there is no time for it."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from experiments.benchmarks.train_speed.cases import Implementation
from experiments.benchmarks.train_speed.ours import OurInference, OurStep, OurTrainer
from experiments.benchmarks.train_speed.setup import HD_LIF, LIF, Task
from experiments.benchmarks.train_speed.theirs import SpikingJelly, Torch, TorchInference

OURS, EAGER, COMPILED = "hdlif_jax", "PyTorch eager", "PyTorch torch.compile"

Part = Literal["table", "stbp", "trainer"]


class Size(NamedTuple):
    """Channels of a ResNet-18's first stage, and images of a batch."""

    width: int
    batch: int

    def __str__(self) -> str:
        return f"{self.width}x{self.batch}"


def size_of(text: str) -> Size:
    """Of "WIDTHxBATCH".

    Raises:
      ValueError: another text, or numbers below 1.
    """
    size = Size(*map(int, text.split("x")))
    if min(size) < 1:
        raise ValueError(text)
    return size


class Group(NamedTuple):
    """What is timed in turns.

    Attributes:
      network: name of its preset.
      size: of network and batch.
      parts: table: updates at every t* and inference, beside eager and compiled PyTorch; stbp: updates from all
        time-steps, beside PyTorch and SpikingJelly; trainer: presets as they are run, and other precisions.
    """

    network: str
    size: Size
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        return f"{self.network}, width {self.size.width}, batch {self.size.batch}"


def groups(table: Iterable[Size], stbp: Iterable[Size], trainer: Iterable[Size]) -> list[Group]:
    """All groups, what matters least at the end, where a budget cuts it."""
    table, trainer = list(dict.fromkeys(table)), list(dict.fromkeys(trainer))
    found = [Group(HD_LIF, size, ("table", "trainer") if size in trainer else ("table",)) for size in table]
    found += [Group(network, size, ("stbp",)) for size in dict.fromkeys(stbp) for network in (HD_LIF, LIF)]
    return found + [Group(HD_LIF, size, ("trainer",)) for size in trainer if size not in table]


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


def entries(group: Group, on_gpu: bool) -> list[Entry]:
    """What is measured of a group, most important first."""
    ours, torch_, compile_ = (40, 30, 90) if on_gpu else (40, 15, 90)
    found: list[Entry] = []

    def add(kind: Callable[..., Implementation], name: str, expected: float, **options: Any) -> None:
        title = f"{group.name}: {name}, {options.get('rule', kind.__name__)}, {options.get('precision', 'float32')}"
        is_ours = kind in (OurStep, OurInference, OurTrainer)
        found.append(Entry(title, expected, is_ours, lambda task: kind(name, task, **options)))

    if "table" in group.parts:
        add(Torch, EAGER, torch_)
        add(TorchInference, EAGER, torch_)
        add(OurStep, OURS, ours)
        add(OurInference, OURS, ours)
        add(Torch, COMPILED, compile_, compiled=True)
        add(TorchInference, COMPILED, compile_ / 2, compiled=True)
    if "trainer" in group.parts:
        if "table" not in group.parts:
            add(Torch, EAGER, torch_)
        add(OurTrainer, f"{OURS} trainer", ours)
        add(OurTrainer, f"{OURS} trainer", ours, precision="bfloat16")
        add(OurStep, OURS, ours, precision="bfloat16")
        add(OurStep, f"{OURS}, integer forward", ours, integer=True)
        add(OurStep, f"{OURS}, float forward", ours, integer=False)
    if "stbp" in group.parts and group.network == HD_LIF:
        add(Torch, EAGER, torch_, rule="stbp")
        add(OurStep, OURS, ours, rule="stbp")
        add(Torch, COMPILED, compile_, compiled=True, rule="stbp")
    if "stbp" in group.parts and group.network == LIF:
        add(SpikingJelly, "SpikingJelly LIFNode, multi-step", torch_, online=False)
        add(SpikingJelly, "SpikingJelly SLTTLIFNode, online", torch_, online=True)
        for rule in ("stbp", "accumulate"):
            add(OurStep, OURS, ours, rule=rule)
        if on_gpu:
            for rule in ("stbp", "accumulate", "random_step"):
                add(OurStep, OURS, ours, rule=rule, precision="bfloat16")
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
