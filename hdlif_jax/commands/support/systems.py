"""What a published system's learning rule does on its own network: its gradient against the full one, memory, time."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

import hdlif_jax as hd
from hdlif_jax import nn, xla_cpu
from hdlif_jax.analysis.separability import (
    RuleEstimates,
    first_layer,
    make_rule_comparison,
    neuron_figures,
    with_reset_gradient,
)
from hdlif_jax.analysis.separability.study import forward_layers
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.support.execution import one_device
from hdlif_jax.commands.support.inputs import comparison_batch
from hdlif_jax.commands.support.run_directory import RunDirectory, read_json
from hdlif_jax.commands.support.runs import load_dataset, load_run
from hdlif_jax.commands.support.stages import trained_teacher
from hdlif_jax.learning import Loss
from hdlif_jax.training import Trainer

DRAWS = 64  # of what a rule draws, such as time-steps
MEMORY_STEPS = (4, 32)
TIMED_STEPS = 20

Figures = dict[str, Any]  # of numbers, lists and dicts, as JSON has them


def study_system(config: TrainConfig, runs: Mapping[int, pathlib.Path]) -> Figures:
    """Compares the gradients of a system before and after its training.

    Args:
      config: of the system.
      runs: finished, by seed; figures are means over them.

    Returns:
      Accuracy; by stage, "init" and "trained", each measure of `GradientEstimate` for the network and by layer, with
      spread and single seeds, and ε of the first layer of neurons; memory in MB and time in ms of a training step.
    """
    dataset = load_dataset(config)
    estimates: dict[str, list[RuleEstimates]] = {"init": [], "trained": []}
    epsilon: dict[str, list[Figures]] = {"init": [], "trained": []}
    accuracies = []
    for seed, path in runs.items():
        run = RunDirectory(path)
        accuracies.append(read_json(run.path / "summary.json")["test_accuracy"])
        trainer = trainer_of(run, run.config(), dataset)
        compare = make_rule_comparison(
            nn.training_form(trainer.model), trainer.rule, trainer.loss, full_loss=full_loss(trainer)
        )
        batch, keys = comparison_batch(trainer), jax.random.split(jax.random.key(seed), DRAWS)
        for stage, variables in (("init", start_of(run, trainer)), ("trained", load_run(run.path).variables)):
            estimates[stage].append(compare(variables, batch, list(keys)))
            model = with_reset_gradient(nn.with_variables(trainer.model, variables))
            epsilon[stage].append(neuron_figures(model, first_layer(model), seed=seed)[0])
    return {
        "accuracy": spread(accuracies),
        "num_steps": config.model.num_steps,
        "draws": estimates["trained"][0].draws,
        "same_loss": full_loss(trainer) is trainer.loss,  # else sizes do not compare
        "network": {stage: _means([each.network for each in found]) for stage, found in estimates.items()},
        "layers": {
            stage: {layer: _means([each.layers[layer] for each in found]) for layer in forward_layers(trainer.model)}
            for stage, found in estimates.items()
        },
        "epsilon": epsilon,
        "temp_mb": {str(num_steps): temp_mb(run, num_steps) for num_steps in MEMORY_STEPS},
        "step_ms": step_ms(trainer, load_run(run.path).variables),
    }


def trainer_of(run: RunDirectory, config: TrainConfig, dataset: hd.data.Dataset) -> Trainer:
    """The trainer of a run, with its teacher if it has one, on one device."""
    return make_trainer(config, dataset, one_device(), trained_teacher(run.config(), run))


def start_of(run: RunDirectory, trainer: Trainer) -> nn.Variables:
    """What a run began with: what it drew or the weights that it was given, and what was found for them."""
    given = hd.training.load_weights(run.start, trainer.model) if run.start.exists() else nn.variables_of(trainer.model)
    return trainer.adjusted(trainer.start_with(given), 0).variables


def full_loss(trainer: Trainer) -> Loss:
    """The loss whose full gradient a rule is compared with: its own, or of layers with losses of theirs the mean's."""
    local = isinstance(trainer.rule, hd.learning.layer_local)
    return hd.losses.of_mean_output(trainer.loss) if local else trainer.loss


def temp_mb(run: RunDirectory, num_steps: int) -> float:
    """10⁶ bytes that XLA plans for a training step beside state and batch, of this network with other time-steps."""
    config = run.config()
    warmup = config.learning.local_warmup * num_steps // config.model.num_steps
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, num_steps=num_steps),
        learning=dataclasses.replace(config.learning, local_warmup=warmup),
    )
    trainer = trainer_of(run, config, load_dataset(config))
    with xla_cpu.rolled():
        cost = hd.analysis.compiled_cost(trainer.train_step, trainer.initial_state, trainer.batch(0))
    return round(cost.temporaries_mb, 3)


def step_ms(trainer: Trainer, variables: nn.Variables) -> dict[str, float]:
    """Milliseconds of a training step, median and least; the least says the most on a machine that others use."""
    state, batch, seconds = trainer.start_with(variables), trainer.batch(0), []
    for _ in range(1 + TIMED_STEPS):
        started = time.perf_counter()
        state, metrics = trainer.train_step(state, batch)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - started)
    timed = seconds[1:]  # the first one compiles
    return {"median": round(1e3 * statistics.median(timed), 3), "least": round(1e3 * min(timed), 3)}


def spread(values: Sequence[float]) -> Figures:
    """Mean and standard deviation over seeds, and the values."""
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
        "per_seed": [float(value) for value in values],
    }


def _means(estimates: Sequence[Any]) -> Figures:
    return {name: spread([getattr(each, name) for each in estimates]) for name in estimates[0]._fields}


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin with, such as "digits-"."""
    words = [name.split("-") for name in names]
    common = 0
    while len(names) > 1 and all(
        len(each) > common + 1 and each[: common + 1] == words[0][: common + 1] for each in words
    ):
        common += 1
    return ["-".join(each[common:]) for each in words]


def by_cosine(systems: Mapping[str, Figures]) -> dict[str, Figures]:
    """The systems by how well their gradient points where the full one does, trained, the best first."""
    return dict(sorted(systems.items(), key=lambda item: -item[1]["network"]["trained"]["cosine"]["mean"]))
