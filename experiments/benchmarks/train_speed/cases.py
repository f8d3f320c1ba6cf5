"""The implementations that are compared: one network, one batch, one object each."""

import ctypes
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from experiments.benchmarks.references import torch as torch_reference
from experiments.benchmarks.train_speed.setup import (
    NUM_CLASSES,
    NUM_STEPS,
    Task,
    bare_step,
    configure,
    drawing_steps,
    synchronize,
    torch_batch,
    torch_device,
)
from hdlif_jax import nn
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.registry import RULES

EVERY_STEP = [f"t*={t + 1}" for t in range(NUM_STEPS)]


class Implementation:
    """Times of the cases of one implementation.

    Attributes:
      name: in the table.
      precision: of convolutions.
      cases: name → `(n)`, runs n updates and waits for the last.
      updates: how many at a time, so that a GPU is not waited for after each.
      memory_mb: peak memory, in 10⁶ bytes; None where it is not known.
      memory_is: what that figure means.
      first_loss: a case and the loss of its first update; None where the batch is not the one of the others.
      trains_alike: whether that loss is to be the others', see `references.spikingjelly`.
    """

    name: str
    precision: str
    memory_mb: float | None = None
    memory_is: str = "not available"
    first_loss: tuple[str, float] | None = None
    trains_alike: bool = True

    def __init__(self, name: str, precision: str):
        self.name, self.precision = name, precision
        self.cases: Mapping[str, Callable[[int], Any]] = {}
        self.updates = 1 if jax.default_backend() == "cpu" else 10
        self._times: dict[str, list[tuple[float, float]]] = {}

    def measure(self) -> None:
        """One more time of every case, after an update that is not timed and pays for the change of implementation."""
        next(iter(self.cases.values()))(1)
        for case, run in self.cases.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run(self.updates)
            passed = time.perf_counter() - start, time.process_time() - start_cpu
            self._times.setdefault(case, []).append((passed[0] / self.updates, passed[1] / self.updates))

    def timing(self, case: str) -> dict[str, float]:
        """Seconds of an update: median and least wall-clock time, least processor time."""
        wall, processor = zip(*self._times[case], strict=True)
        return {"median": statistics.median(wall), "least": min(wall), "processor": min(processor)}

    def bytes_of(self, case: str) -> float | None:
        """Bytes that an update reads and writes, where that is known."""
        return None

    def measure_resident_growth(self) -> None:
        """On a CPU: how much more memory the process holds within an update than before it.

        Nothing else may run meanwhile. It takes the place of XLA's plan, to be comparable with PyTorch's.
        """
        reset = pathlib.Path("/proc/self/clear_refs")
        if not reset.exists():
            return
        ctypes.CDLL(None).malloc_trim(0)  # else what was freed before stays with the process and hides the growth
        reset.write_text("5")  # the peak starts again from here
        before = _status("VmRSS")
        for run in self.cases.values():
            run(1)
        self.memory_mb = max(0.0, _status("VmHWM") - before)
        self.memory_is = "growth of the process's resident memory within an update, parameters not included"


def _status(name: str) -> float:
    """A field of /proc/self/status in 10⁶ bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


class OurTrainer(Implementation):
    """A preset as `experiments.train` runs it: resident data, augmentation, many steps per dispatch, random t*."""

    def __init__(self, name: str, task: Task, *, precision: str = "float32"):
        super().__init__(name, precision)
        batch_size = len(task.batch.labels)
        recipe = dataclasses.replace(PRESETS[task.preset].config.data, validation_fraction=0.0)
        config = configure(task.preset, task.width, batch_size=batch_size, precision=precision, data=recipe)
        trainer = make_trainer(config, task.dataset)
        runner, state, at = trainer.runner(), trainer.initial_state, 0
        on_gpu = jax.default_backend() != "cpu"
        self.updates = 2 * getattr(runner, "steps_per_dispatch", 1) if on_gpu else 8

        def run(count: int) -> None:
            nonlocal state, at
            end = at + count
            while at < end:
                ran = runner.run(state, at, min(end, trainer.plan.total_steps))
                state, at = ran.state, at + ran.num_steps
            jax.block_until_ready(ran.metrics)

        self.cases = {"trainer": run}
        run(1)
        if on_gpu:
            run(self.updates)
            self.memory_mb = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", float("nan")) / 1e6
            self.memory_is = "JAX's peak so far in this process, other configurations included"


class OurStep(Implementation):
    """The trainer's step, again and again on one ready batch: every t*, or another rule; `integer` as in a form."""

    def __init__(
        self,
        name: str,
        task: Task,
        *,
        precision: str = "float32",
        rule: str = "random_step",
        integer: bool | None = None,
    ):
        super().__init__(name, precision)
        draws = rule == "random_step"
        chosen = RULES[rule](configure(task.preset, task.width).learning)
        self._state, step = bare_step(task.model, chosen, dtype=precision, integer=integer)
        self._batch = task.batch
        self._compiled = jax.jit(step, donate_argnums=0).lower(self._state, self._batch).compile()
        self._bytes = (self._compiled.cost_analysis() or {}).get("bytes accessed")
        # Which t* a batch learns is a function of (seed, step): these steps draw 1, 2, …, T.
        names, steps = (EVERY_STEP, drawing_steps()) if draws else ([rule], [0])
        self.cases = {name: self._at(step) for name, step in zip(names, steps, strict=True)}
        before = jax.tree.map(np.array, self._state.params)
        self.first_loss = names[-1], float(self.cases[names[-1]](1).loss)
        if draws and not task.preset.endswith("-lif"):
            _check_learned(before, self._state.params, NUM_STEPS - 1)
        for run in self.cases.values():
            run(1)
        plan = self._compiled.memory_analysis()
        assert plan is not None
        planned = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
        self.memory_mb = (planned + plan.temp_size_in_bytes) / 1e6
        self.memory_is = "XLA's plan: parameters, optimiser, batch and all temporary arrays"

    def _at(self, step: int) -> Callable[[int], Any]:
        def run(count: int) -> Any:
            for _ in range(count):
                at_step = dataclasses.replace(self._state, step=jnp.int32(step))
                self._state, metrics = self._compiled(at_step, self._batch)
            return jax.block_until_ready(metrics)

        return run

    def bytes_of(self, case: str) -> float | None:
        """XLA counts the body of a loop once, so its figure is that of t* = 2, whose loop runs once."""
        return self._bytes if case == "t*=2" else None


def _check_learned(before: nn.Params, after: nn.Params, t: int) -> None:
    """Only the thresholds of time-step t may have moved."""
    old, new = (params["blocks"][0]["neuron1"]["raw_threshold"] for params in (before, after))
    moved = np.flatnonzero(old != new).tolist()
    if moved != [t]:
        raise SystemExit(
            f"thresholds of time-steps {moved} moved where t* = {t} was to be drawn: drawing_steps is wrong"
        )


class Torch(Implementation):
    """`references.torch`, eager or compiled: every t*, or the rule `stbp`."""

    def __init__(self, name: str, task: Task, *, compiled: bool = False, rule: str = "random_step"):
        super().__init__(name, "float32")
        kind = torch_reference.CompiledResNet18 if compiled else torch_reference.ResNet18
        with _TorchMemory(self):
            network = kind(NUM_CLASSES, NUM_STEPS, task.width).to(torch_device())
            network.load(jax.tree.map(np.asarray, nn.variables_of(task.model)))
            optimizer = torch_reference.make_optimizer(network)
            batch = torch_batch(task.batch)

            def at(t: int) -> Callable[[], torch.Tensor]:
                return lambda: torch_reference.online_step(network, optimizer, *batch, t)

            if rule == "stbp":
                self._prepare({"stbp": lambda: torch_reference.stbp_step(network, optimizer, *batch)})
            else:
                self._prepare({case: at(t) for t, case in enumerate(EVERY_STEP)})

    def _prepare(self, updates: Mapping[str, Callable[[], torch.Tensor]]) -> None:
        def repeat(update: Callable[[], torch.Tensor]) -> Callable[[int], torch.Tensor]:
            def run(count: int) -> torch.Tensor:
                for _ in range(count):
                    loss = update()
                synchronize()
                return loss

            return run

        self.cases = {case: repeat(update) for case, update in updates.items()}
        case = list(updates)[-1]
        self.first_loss = case, float(self.cases[case](1))
        for run in self.cases.values():
            run(1)


class SpikingJelly(Torch):
    """`references.spikingjelly`, online or multi-step.

    Raises:
      ModuleNotFoundError: SpikingJelly is not installed.
    """

    def __init__(self, name: str, task: Task, *, online: bool):
        from experiments.benchmarks.references import spikingjelly  # optional: the other rows do without

        Implementation.__init__(self, name, "float32")
        self.trains_alike = online
        with _TorchMemory(self):
            network: Any = spikingjelly.ResNet18(NUM_CLASSES, NUM_STEPS, task.width, online)
            network.load(jax.tree.map(np.asarray, nn.variables_of(task.model)))
            network = network.to(torch_device(), memory_format=torch.channels_last)
            optimizer = torch_reference.make_optimizer(network)
            batch = torch_batch(task.batch)

            def update() -> torch.Tensor:
                return spikingjelly.train_step(network, optimizer, *batch)

            self._prepare({"accumulate" if online else "stbp": update})


class _TorchMemory:
    """On a GPU: PyTorch's own peak of what is prepared inside."""

    def __init__(self, implementation: Implementation):
        self.implementation, self.before = implementation, 0

    def __enter__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if torch.cuda.is_available() and kind is None:
            self.implementation.memory_mb = (torch.cuda.max_memory_allocated() - self.before) / 1e6
            self.implementation.memory_is = "torch.cuda.max_memory_allocated: parameters, optimiser, batch, all else"
