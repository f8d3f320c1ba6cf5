"""The implementations that `benchmarks.train_speed` compares: one network, one batch, one object each."""

import ctypes
import dataclasses
import pathlib
import statistics
import time
from typing import Any

import jax
import numpy as np
import torch

from benchmarks import torch_reference
from benchmarks.train_speed_setup import (
    NUM_CLASSES,
    NUM_STEPS,
    bare_trainer,
    configure,
    drawing_steps,
    synchronize,
    torch_batch,
    torch_device,
)
from experiments.presets import PRESETS
from hdlif_jax import nn
from hdlif_jax.training import Trainer


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
    """

    name: str
    precision: str
    memory_mb: float | None = None
    memory_is: str = "not available"
    first_loss: tuple[str, float] | None = None

    def __init__(self, name: str, precision: str):
        self.name, self.precision = name, precision
        self.cases: dict[str, Any] = {}
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


class Ours(Implementation):
    """`hdlif_jax.training.Trainer`; with `resident` as a preset runs, else single steps on one ready batch."""

    def __init__(
        self, name, preset, width, dataset, model, images, labels, *, precision, rule="random_step", resident=False
    ):
        super().__init__(name, precision)
        if resident:
            recipe = dataclasses.replace(PRESETS[preset].config.data, validation_fraction=0.0)
            config = configure(preset, width, batch_size=len(labels), precision=precision, data=recipe)
            self.trainer = Trainer(config, dataset)
        else:
            self.trainer = bare_trainer(preset, width, dataset, len(labels), rule, precision)
        self.state = self.trainer.initial_state
        self._bytes: float | None = None
        if resident:
            self._through_feed()
        else:
            self._on_batch(rule, preset, jax.device_put((images, labels)))

    def _through_feed(self) -> None:
        feed = self.trainer.feed()
        on_gpu = jax.default_backend() != "cpu"
        self.updates = 2 * getattr(feed, "steps_per_dispatch", 1) if on_gpu else 8
        last_step = self.trainer.total_steps
        at = 0

        def run(count):
            nonlocal at
            end = at + count
            while at < end:
                advance = feed.advance(self.state, at, min(end, last_step))
                self.state = advance.state
                at += advance.num_steps
            jax.block_until_ready(advance.metrics)

        self.cases = {"trainer": run}
        run(1)
        if on_gpu:
            run(self.updates)
            self.memory_mb = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", float("nan")) / 1e6
            self.memory_is = "JAX's peak so far in this process, other configurations included"

    def _on_batch(self, rule, preset, batch) -> None:
        compiled = self.trainer.train_step.lower(self.state, *batch).compile()
        plan = compiled.memory_analysis()
        costs = compiled.cost_analysis() or {}
        self._bytes = costs.get("bytes accessed")

        def at(step):
            def run(count):
                for _ in range(count):
                    self.state = dataclasses.replace(self.state, step=np.int32(step))
                    self.state, metrics = compiled(self.state, *batch)
                jax.block_until_ready(metrics)
                return metrics

            return run

        # Which t* a batch learns is a function of (seed, step): these steps draw 1, 2, …, T.
        steps = drawing_steps(self.trainer.config.seed) if rule == "random_step" else [0]
        names = [f"t*={t + 1}" for t in range(NUM_STEPS)] if rule == "random_step" else [rule]
        self.cases = {name: at(step) for name, step in zip(names, steps, strict=True)}
        before = jax.tree.map(np.array, self.state.params)
        self.first_loss = names[-1], float(self.cases[names[-1]](1).loss)
        if rule == "random_step" and not preset.endswith("-lif"):
            _check_learned(before, self.state.params, NUM_STEPS - 1)
        for run in self.cases.values():
            run(1)
        planned = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
        planned += plan.temp_size_in_bytes
        self.memory_mb = planned / 1e6
        self.memory_is = "XLA's plan: parameters, optimiser, batch and all temporary arrays"

    def bytes_of(self, case):
        """XLA counts the body of a loop once, so its figure is that of t* = 2, whose loop runs once."""
        return self._bytes if case == "t*=2" else None


def _check_learned(before, after, t) -> None:
    """Only the thresholds of time-step t may have moved."""
    old, new = (params["blocks"][0]["neuron1"]["raw_threshold"] for params in (before, after))
    moved = np.flatnonzero(old != new).tolist()
    if moved != [t]:
        raise SystemExit(
            f"thresholds of time-steps {moved} moved where t* = {t} was to be drawn: drawing_steps is wrong"
        )


class Torch(Implementation):
    """`torch_reference`, eager or compiled."""

    def __init__(self, name, preset, width, dataset, model, images, labels, *, compiled):
        super().__init__(name, "float32")
        kind = torch_reference.CompiledResNet18 if compiled else torch_reference.ResNet18
        with _TorchMemory(self):
            network = kind(NUM_CLASSES, NUM_STEPS, width).to(torch_device())
            network.load(jax.tree.map(np.asarray, nn.variables_of(model)))
            optimizer = torch_reference.make_optimizer(network)
            batch = torch_batch(images, labels)

            def at(t):
                return lambda: torch_reference.online_step(network, optimizer, *batch, t)

            self._prepare({f"t*={t + 1}": at(t) for t in range(NUM_STEPS)})

    def _prepare(self, updates) -> None:
        def repeat(update):
            def run(count):
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
    """`spikingjelly_reference`, online or multi-step.

    Raises:
      ModuleNotFoundError: SpikingJelly is not installed.
    """

    def __init__(self, name, preset, width, dataset, model, images, labels, *, online):
        from benchmarks import spikingjelly_reference  # optional: the other rows do without

        Implementation.__init__(self, name, "float32")
        with _TorchMemory(self):
            network = spikingjelly_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, online)
            network.load(jax.tree.map(np.asarray, nn.variables_of(model)))
            network = network.to(torch_device(), memory_format=torch.channels_last)
            optimizer = torch_reference.make_optimizer(network)
            batch = torch_batch(images, labels)

            def update():
                return spikingjelly_reference.train_step(network, optimizer, *batch)

            self._prepare({"accumulate" if online else "stbp": update})


class _TorchMemory:
    """On a GPU: PyTorch's own peak of what is prepared inside."""

    def __init__(self, implementation: Implementation):
        self.implementation = implementation

    def __enter__(self):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()

    def __exit__(self, kind, error, trace):
        if torch.cuda.is_available() and kind is None:
            self.implementation.memory_mb = (torch.cuda.max_memory_allocated() - self.before) / 1e6
            self.implementation.memory_is = "torch.cuda.max_memory_allocated: parameters, optimiser, batch, all else"
