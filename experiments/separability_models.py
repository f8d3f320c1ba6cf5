"""Trains (or loads) one neuron model with several seeds and measures its gradients before and after."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.coherence import comparison_batch
from experiments.run import load_dataset
from experiments.run_directory import RunDirectory
from experiments.separability_neurons import NeuronModel, neuron_figures
from hdlif_jax import nn
from hdlif_jax.analysis.separability import Comparison, Contributions, RuleComparison, make_comparison
from hdlif_jax.nn import Variables
from hdlif_jax.training import Checkpoints, TrainConfig, Trainer, build_model, smoothed_cross_entropy

FIRST_LAYER = "stem"

ModelStudy = dict[str, Any]


def study(
    model: NeuronModel, base: TrainConfig, seeds: tuple[int, ...], updates: int, folder: pathlib.Path
) -> tuple[ModelStudy, Contributions]:
    """Everything that `separability.json` says of one model, and the sampled ε of the first seed at initialisation.

    Args:
      model: which neurons.
      base: data, network size, optimiser and learning rule.
      seeds: one training run each.
      updates: length of a run; the learning rate is that of the first updates of `base`.
      folder: where the trained models are, or will be.
    """
    options = dataclasses.replace(base.model, neuron=model.neuron, parallel=model.parallel)
    dataset = load_dataset(base)
    trainers = [Trainer(dataclasses.replace(base, model=options, seed=seed), dataset) for seed in seeds]
    network_model = build_model(options, dataset.input_shape, dataset.num_classes, seeds[0])
    loss_function = smoothed_cross_entropy(base.learning.label_smoothing)
    compare = make_comparison(nn.training_form(network_model, record=True), loss_function)
    inputs, labels = comparison_batch(trainers[0])

    comparisons: dict[str, list[Comparison]] = {"init": [], "trained": []}
    neurons: dict[str, list[ModelStudy]] = {"init": [], "trained": []}
    samples = []
    for trainer in trainers:
        seed = trainer.config.seed
        start = jax.tree.map(jnp.copy, trainer.initial_state.variables)  # training gives the state's arrays away
        trained = trained_variables(trainer, updates, folder / f"seed-{seed}")
        for stage, variables in (("init", start), ("trained", trained)):
            comparisons[stage].append(compare(variables, inputs, labels))
            figures, sample = neuron_figures(model, variables, options.num_steps, options.quantizer, seed)
            neurons[stage].append(figures)
            samples.append(sample)
    return summary(comparisons, neurons), samples[0]


def trained_variables(trainer: Trainer, updates: int, folder: pathlib.Path) -> Variables:
    """The variables after the given number of updates, from the folder if it has them."""
    directory = RunDirectory(folder)
    if not (folder / "config.json").is_file():
        directory.create(trainer.config)
    checkpoints = Checkpoints(directory.checkpoints)
    if directory.config() == trainer.config and updates in checkpoints.steps():
        state = checkpoints.load(trainer.initial_state, updates)
    else:
        state = trainer.initial_state
        for step in range(updates):
            state, _ = trainer.train_step(state, *trainer.batch(step))
        checkpoints.save(state)
    checkpoints.close()
    return state.variables


def summary(comparisons: dict[str, list[Comparison]], neurons: dict[str, list[ModelStudy]]) -> ModelStudy:
    """Means and spreads over the seeds; single figures without a stage are those at initialisation."""
    first = {
        stage: [float(result.layers[FIRST_LAYER].accumulate.cosine) for result in results]
        for stage, results in comparisons.items()
    }
    figures: ModelStudy = {}
    for stage, cosines in first.items():
        figures[f"first_layer_cosine_{stage}"] = float(np.mean(cosines))
        figures[f"first_layer_cosine_{stage}_std"] = float(np.std(cosines))
        figures[f"first_layer_cosine_{stage}_per_seed"] = cosines
    figures["cosine_per_layer"] = {
        stage: {layer: _spread(results, layer) for layer in convolutions(results[0])}
        for stage, results in comparisons.items()
    }
    figures["network_cosine"] = _means(comparisons, lambda result: result.network.accumulate.cosine)
    figures["random_step_cosine"] = _means(comparisons, lambda result: result.network.random_step.cosine)
    figures["agreement"] = {stage: _rules(results) for stage, results in comparisons.items()}
    figures["estimator"] = {
        stage: {
            place: _mean_fields([_place(result, place).random_step_estimator for result in results])
            for place in ("network", *convolutions(results[0]))
        }
        for stage, results in comparisons.items()
    }
    figures["membrane_cosine"] = {
        stage: {
            layer: np.mean([result.membrane[layer].cosine for result in results], axis=0).tolist()
            for layer in results[0].membrane
        }
        for stage, results in comparisons.items()
    }
    figures["separability_index"] = float(np.mean([sample["separability_index"] for sample in neurons["init"]]))
    figures["distinct_epsilon_values"] = neurons["init"][0]["distinct_epsilon_values"]
    figures["theorem_worst_deviation"] = max(
        sample["theorem_worst_deviation"] for samples in neurons.values() for sample in samples
    )
    figures["neuron_per_seed"] = neurons
    return figures


def convolutions(comparison: Comparison) -> list[str]:
    """The convolutions and the head in the order of the forward pass, downsampling left out."""
    blocks = [layer for layer in comparison.layers if layer.rpartition(".")[2] in ("conv1", "conv2")]
    return [FIRST_LAYER, *sorted(blocks, key=lambda layer: (int(layer.split(".")[1]), layer)), "head"]


def _place(comparison: Comparison, place: str) -> RuleComparison:
    return comparison.network if place == "network" else comparison.layers[place]


def _rules(results: list[Comparison]) -> ModelStudy:
    """All measures of both rules for the whole network."""
    return {
        rule: _mean_fields([getattr(result.network, rule) for result in results])
        for rule in ("accumulate", "random_step")
    }


def _mean_fields(tuples: list[Any]) -> dict[str, float]:
    return {name: float(np.mean([getattr(entry, name) for entry in tuples])) for name in tuples[0]._fields}


def _means(comparisons: dict[str, list[Comparison]], figure: Callable[[Comparison], Any]) -> dict[str, float]:
    return {stage: float(np.mean([figure(result) for result in results])) for stage, results in comparisons.items()}


def _spread(results: list[Comparison], layer: str) -> dict[str, float]:
    cosines = [result.layers[layer].accumulate.cosine for result in results]
    return {"mean": float(np.mean(cosines)), "min": float(np.min(cosines)), "max": float(np.max(cosines))}
