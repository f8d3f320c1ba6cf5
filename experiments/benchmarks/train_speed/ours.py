"""Our trainer, its step and our inference, as they are timed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.train_speed.cases import EVERY_STEP, INFERENCE, Implementation
from experiments.benchmarks.train_speed.setup import (
    MEAN,
    NUM_STEPS,
    STD,
    Task,
    bare_step,
    configure,
    drawing_steps,
)
from hdlif_jax import nn, rollout
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.registry import RULES
from hdlif_jax.training import normalize


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
        self.memory_mb = _planned_mb(self._compiled)
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


class OurInference(Implementation):
    """Logits of all time-steps, as evaluation computes them: kernels are quantised anew in every call."""

    def __init__(self, name: str, task: Task):
        super().__init__(name, "float32")
        network, variables = nn.inference_form(task.model), nn.variables_of(task.model)
        inputs = jnp.asarray(normalize(task.batch.inputs, MEAN, STD))
        infer = jax.jit(lambda variables, inputs: rollout.rollout(network, variables, inputs))
        compiled = infer.lower(variables, inputs).compile()

        def run(count: int) -> None:
            for _ in range(count):
                logits = compiled(variables, inputs)
            jax.block_until_ready(logits)

        self.cases = {INFERENCE: run}
        self.memory_mb = _planned_mb(compiled)
        self.memory_is = "XLA's plan: parameters, batch and all temporary arrays"
        self.logits = np.asarray(compiled(variables, inputs))


def _planned_mb(compiled: jax.stages.Compiled) -> float:
    plan = compiled.memory_analysis()
    assert plan is not None
    planned = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return (planned + plan.temp_size_in_bytes) / 1e6


def _check_learned(before: nn.Params, after: nn.Params, t: int) -> None:
    """Only the thresholds of time-step t may have moved."""
    old, new = (params["blocks"][0]["neuron1"]["raw_threshold"] for params in (before, after))
    moved = np.flatnonzero(old != new).tolist()
    if moved != [t]:
        raise SystemExit(
            f"thresholds of time-steps {moved} moved where t* = {t} was to be drawn: drawing_steps is wrong"
        )
