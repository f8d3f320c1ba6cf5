"""A study of one kind of network: its gradients and its neurons before and after training, over several seeds."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from hdlif_jax.analysis.meter import layout
from hdlif_jax.analysis.separability.cells import first_layer
from hdlif_jax.analysis.separability.comparison import Comparison, RuleComparison, make_comparison
from hdlif_jax.analysis.separability.contributions import Contributions
from hdlif_jax.analysis.separability.neurons import neuron_figures
from hdlif_jax.learning import Batch, Loss
from hdlif_jax.nn import Downsample, SpikingNetwork, Variables, training_form, variables_of, with_variables
from hdlif_jax.nn.intercept import modules

ModelStudy = dict[str, Any]  #: of numbers, lists and dicts, as JSON has them


def study(
    make_model: Callable[[int], SpikingNetwork],
    loss: Loss,
    batch: Batch,
    trained: Callable[[int, SpikingNetwork], Variables],
    seeds: Sequence[int],
    *,
    layer: str | None = None,
    key: jax.Array | None = None,
    unroll: bool | None = None,
) -> tuple[ModelStudy, Contributions]:
    """All figures of one kind of network, and the ε of the first seed's neurons at initialisation.

    Args:
      make_model: the untrained network of a seed.
      loss: `(logits [B, K], labels) -> scalar` of one step.
      batch: on which gradients are compared: static inputs `[B, ...]` or sequences `[T, B, ...]`, and labels.
      trained: the variables of a seed's network after training, which is the caller's.
      seeds: one training run each; figures are means over them.
      layer: path of the neurons whose ε is sampled; the first layer of neurons by default.
      key: for cells that draw.
      unroll: see `make_comparison`.

    Returns:
      The figures, and a sample of ε.

    Raises:
      TypeError: a loss of the whole sequence, or neurons that influence each other.
      ValueError: no seed, T = 1, or a batch that does not fit the network.
    """
    if not seeds:
        raise ValueError("seeds is empty; give at least one, e.g. seeds=(0,)")
    example = make_model(seeds[0])
    compare = make_comparison(training_form(example, record=True), loss, unroll=unroll)
    layer = first_layer(example) if layer is None else layer
    comparisons: dict[str, list[Comparison]] = {"init": [], "trained": []}
    neurons: dict[str, list[ModelStudy]] = {"init": [], "trained": []}
    samples = []
    for seed in seeds:
        model = make_model(seed)
        start = variables_of(model)  # a copy, as training may give the model's arrays away
        for stage, variables in (("init", start), ("trained", trained(seed, model))):
            comparisons[stage].append(compare(variables, batch, key))
            figures, sample = neuron_figures(with_variables(model, variables), layer, seed=seed)
            neurons[stage].append(figures)
            samples.append(sample)
    figures = summary(comparisons, neurons, forward_layers(example))
    return figures | {"sampled_layer": layer}, samples[0]


def forward_layers(model: SpikingNetwork) -> list[str]:
    """Paths of the layers of synapses in the order in which they run, those of shortcuts left out."""
    shortcuts = tuple(f"{path}." for path, module in modules(model) if isinstance(module, Downsample))
    return [path for path in layout(model).synapses if not path.startswith(shortcuts)]


def summary(
    comparisons: dict[str, list[Comparison]], neurons: dict[str, list[ModelStudy]], layers: list[str]
) -> ModelStudy:
    """Means and spreads over the seeds; single figures without a stage are those at initialisation.

    Args:
      comparisons: by stage, one for each seed.
      neurons: by stage, one for each seed, from `neuron_figures`.
      layers: paths of the layers to show, the first of them first.
    """
    figures: ModelStudy = {}
    for stage, results in comparisons.items():
        cosines = [float(result.layers[layers[0]].accumulate.cosine) for result in results]
        figures[f"first_layer_cosine_{stage}"] = float(np.mean(cosines))
        figures[f"first_layer_cosine_{stage}_std"] = float(np.std(cosines))
        figures[f"first_layer_cosine_{stage}_per_seed"] = cosines
    figures["cosine_per_layer"] = {
        stage: {layer: _spread(results, layer) for layer in layers} for stage, results in comparisons.items()
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
            for place in ("network", *layers)
        }
        for stage, results in comparisons.items()
    }
    figures["membrane_agreement"] = {
        stage: {layer: _mean_fields([result.membrane[layer] for result in results]) for layer in results[0].membrane}
        for stage, results in comparisons.items()
    }
    figures["separability_index"] = float(np.mean([sample["separability_index"] for sample in neurons["init"]]))
    figures["distinct_epsilon_values"] = neurons["init"][0]["distinct_epsilon_values"]
    deviations = [sample["theorem_worst_deviation"] for samples in neurons.values() for sample in samples]
    figures["theorem_worst_deviation"] = None if None in deviations else max(deviations)
    figures["neuron_per_seed"] = neurons
    return figures


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
