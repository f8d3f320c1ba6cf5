"""Trains (or loads) one neuron model with several seeds and measures its gradients before and after."""

import dataclasses
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.coherence import comparison_batch
from experiments.execution import one_device
from experiments.run import load_dataset
from experiments.run_directory import RunDirectory
from experiments.separability_neurons import NeuronModel, neuron_figures
from hdlif_jax import nn
from hdlif_jax.analysis.separability import Comparison, Contributions, RuleComparison, make_comparison
from hdlif_jax.nn import Variables
from hdlif_jax.training import Checkpoints, TrainConfig, Trainer, TrainingDiverged, build_model, smoothed_cross_entropy

HEADS = ("head", "head.hidden", "head.output")

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
    options = model.options(base.model)
    dataset = load_dataset(base)
    trainers = [Trainer(dataclasses.replace(base, model=options, seed=seed), dataset, one_device()) for seed in seeds]
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
    """The variables after the given number of updates, from the folder if it has them.

    Raises:
      TrainingDiverged: the last loss is not finite.
    """
    directory = RunDirectory(folder)
    if not (folder / "config.json").is_file():
        directory.create(trainer.config)
    checkpoints = Checkpoints(directory.checkpoints)
    if directory.config() == trainer.config and updates in checkpoints.steps():
        state = checkpoints.load(trainer.initial_state, updates)
    else:
        state = trainer.initial_state
        for step in range(updates):
            state, metrics = trainer.train_step(state, *trainer.batch(step))
        if not jnp.isfinite(metrics.loss):
            raise TrainingDiverged(
                f"the loss of {folder} is {metrics.loss} after {updates} updates; there are no gradients to compare"
            )
        checkpoints.save(state)
    checkpoints.close()
    return state.variables


def summary(comparisons: dict[str, list[Comparison]], neurons: dict[str, list[ModelStudy]]) -> ModelStudy:
    """Means and spreads over the seeds; single figures without a stage are those at initialisation."""
    first = {
        stage: [float(result.layers[synapses(result)[0]].accumulate.cosine) for result in results]
        for stage, results in comparisons.items()
    }
    figures: ModelStudy = {}
    for stage, cosines in first.items():
        figures[f"first_layer_cosine_{stage}"] = float(np.mean(cosines))
        figures[f"first_layer_cosine_{stage}_std"] = float(np.std(cosines))
        figures[f"first_layer_cosine_{stage}_per_seed"] = cosines
    figures["cosine_per_layer"] = {
        stage: {layer: _spread(results, layer) for layer in synapses(results[0])}
        for stage, results in comparisons.items()
    }
    figures["network_cosine"] = {
        stage: float(np.mean([result.network.accumulate.cosine for result in results]))
        for stage, results in comparisons.items()
    }
    figures["agreement"] = {
        stage: {
            "network": _rules([result.network for result in results]),
            "layers": {name: _rules([result.layers[name] for result in results]) for name in results[0].layers},
            "parameters": {
                name: _rules([result.parameters[name] for result in results]) for name in results[0].parameters
            },
        }
        for stage, results in comparisons.items()
    }
    figures["estimator"] = {
        stage: {
            place: _mean_fields([_place(result, place).random_step_estimator for result in results])
            for place in ("network", *synapses(results[0]))
        }
        for stage, results in comparisons.items()
    }
    figures["membrane_agreement"] = {
        stage: {layer: _mean_fields([result.membrane[layer] for result in results]) for layer in results[0].membrane}
        for stage, results in comparisons.items()
    }
    figures["separability_index"] = float(np.mean([sample["separability_index"] for sample in neurons["init"]]))
    figures["distinct_epsilon_values"] = neurons["init"][0]["distinct_epsilon_values"]
    figures["theorem_worst_deviation"] = max(
        sample["theorem_worst_deviation"] for samples in neurons.values() for sample in samples
    )
    figures["neuron_per_seed"] = neurons
    return figures


def synapses(comparison: Comparison) -> list[str]:
    """The convolutions and linear layers in the order of the forward pass, downsampling left out."""
    body = [layer for layer in comparison.layers if re.fullmatch(r"(blocks|units)\.\d+\.conv[12]?", layer)]
    body.sort(key=lambda layer: (int(layer.split(".")[1]), layer))
    ends = [[layer for layer in names if layer in comparison.layers] for names in (("stem",), HEADS)]
    return [*ends[0], *body, *ends[1]]


def _place(comparison: Comparison, place: str) -> RuleComparison:
    return comparison.network if place == "network" else comparison.layers[place]


def _rules(results: list[RuleComparison]) -> ModelStudy:
    """All measures of both rules."""
    return {rule: _mean_fields([getattr(result, rule) for result in results]) for rule in ("accumulate", "random_step")}


def _mean_fields(tuples: list[Any]) -> dict[str, Any]:
    """Each field's mean, a float or, by time-step, a list."""
    return {name: np.mean([getattr(entry, name) for entry in tuples], axis=0).tolist() for name in tuples[0]._fields}


def _spread(results: list[Comparison], layer: str) -> dict[str, float]:
    cosines = [result.layers[layer].accumulate.cosine for result in results]
    return {"mean": float(np.mean(cosines)), "min": float(np.min(cosines)), "max": float(np.max(cosines))}
