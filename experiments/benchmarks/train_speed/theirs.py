"""The same in PyTorch, eager and compiled, and in SpikingJelly, as it is timed."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import jax
import numpy as np
import torch

from experiments.benchmarks.cifar100 import NUM_CLASSES
from experiments.benchmarks.references import torch as torch_reference
from experiments.benchmarks.train_speed.cases import EVERY_STEP, INFERENCE, Implementation
from experiments.benchmarks.train_speed.setup import (
    NUM_STEPS,
    Task,
    synchronize,
    torch_batch,
    torch_device,
)
from hdlif_jax import nn


class Torch(Implementation):
    """`references.torch` learning, eager or compiled: every t*, or the rule `stbp`."""

    def __init__(self, name: str, task: Task, *, compiled: bool = False, rule: str = "random_step"):
        super().__init__(name, "float32")
        with _TorchMemory(self):
            network, batch = _network(task, compiled), torch_batch(task.batch)
            optimizer = torch_reference.make_optimizer(network)

            def at(t: int) -> Callable[[], torch.Tensor]:
                return lambda: torch_reference.online_step(network, optimizer, *batch, t)

            if rule == "stbp":
                self._prepare({"stbp": lambda: torch_reference.stbp_step(network, optimizer, *batch)})
            else:
                self._prepare({case: at(t) for t, case in enumerate(EVERY_STEP)})

    def _prepare(self, updates: Mapping[str, Callable[[], torch.Tensor]]) -> None:
        self.cases = {case: _repeat(update) for case, update in updates.items()}
        case = list(updates)[-1]
        self.first_loss = case, float(self.cases[case](1))
        for run in self.cases.values():
            run(1)


class TorchInference(Implementation):
    """`references.torch`, eager or compiled, as ours: logits of all time-steps, kernels quantised in every call."""

    def __init__(self, name: str, task: Task, *, compiled: bool = False):
        super().__init__(name, "float32")
        with _TorchMemory(self):
            network, (inputs, _) = _network(task, compiled), torch_batch(task.batch)
            run = _repeat(lambda: torch_reference.infer(network, inputs))
            self.logits = run(1).cpu().numpy()
            run(1)
        self.cases = {INFERENCE: run}


def _network(task: Task, compiled: bool) -> torch_reference.ResNet18:
    kind = torch_reference.CompiledResNet18 if compiled else torch_reference.ResNet18
    network = kind(NUM_CLASSES, NUM_STEPS, task.width).to(torch_device())
    network.load(jax.tree.map(np.asarray, nn.variables_of(task.model)))
    return network


def _repeat(function: Callable[[], torch.Tensor]) -> Callable[[int], torch.Tensor]:
    def run(count: int) -> torch.Tensor:
        for _ in range(count):
            result = function()
        synchronize()
        return result

    return run


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
