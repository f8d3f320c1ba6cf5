"""Every public drawing with good arguments, and each with what it must refuse."""

import numpy as np

from hdlif_jax import viz

T, N, E = 4, 5, 6
GENERATOR = np.random.default_rng(0)
SPIKES = GENERATOR.integers(0, 4, (T, N)) / 4
MEMBRANE = GENERATOR.normal(size=(T, 2))
EPSILON = np.tril(GENERATOR.random((T, T)))[:, :, None] * np.ones(N)
BY_LAYER = {"lif": {"stem": 0.6, "blocks.0.conv1": 0.9}, "hd-lif": {"stem": 0.9, "blocks.0.conv1": 1.0}}
TWO = {"lif": 1.0, "hd-lif": 0.5}
X = np.arange(1, E + 1)

GOOD = {
    "accuracy": lambda: viz.accuracy(X, {"training": X / 10}, test=0.5, num_test=20),
    "bars_by_layer": lambda: viz.bars_by_layer(BY_LAYER),
    "coherence": lambda: viz.coherence(X, {"stem": X / 10, "network": X / 8}),
    "confusion": lambda: viz.confusion(np.eye(3), ["a", "b", "c"]),
    "cosine_map": lambda: viz.cosine_map(BY_LAYER, TWO),
    "cosines_by_layer": lambda: viz.cosines_by_layer(BY_LAYER),
    "curves": lambda: viz.curves(X, {"a": X, "b": np.stack([X, X + 1])}),
    "epsilon_distribution": lambda: viz.epsilon_distribution({"lif": EPSILON}),
    "epsilon_map": lambda: viz.epsilon_map({"lif": EPSILON}),
    "errors": lambda: viz.errors({"lif": 0.1, "hd-lif": None}, TWO),
    "learning": lambda: viz.learning(X, X, {"training": X / 10}),
    "membranes": lambda: viz.membranes(MEMBRANE, spikes=MEMBRANE > 1, after=MEMBRANE, threshold=np.ones(T)),
    "memory": lambda: viz.memory(TWO, TWO, steps=(4, 32)),
    "operations": lambda: viz.operations(TWO, TWO),
    "pareto": lambda: viz.pareto(TWO, TWO),
    "radar": lambda: viz.radar({"lif": [1, 2, 3]}, ["a", "b", "c"], units=["s", "", "MB"]),
    "raster": lambda: viz.raster({"layers.1": SPIKES, "layers.3": SPIKES}),
    "rate_bars": lambda: viz.rate_bars(TWO),
    "rate_curves": lambda: viz.rate_curves(X, {"layers.1": X / 10}),
    "rates": lambda: viz.rates({"layers.1": SPIKES.mean(1)}),
    "steps": lambda: viz.steps({"lif": [0.5, 0.6], "hd-lif": [[0.7, 0.8], [0.6, 0.9]]}),
    "times": lambda: viz.times(TWO),
}

REFUSED = [
    ("accuracy", lambda: viz.accuracy(X, {"training": X}, test=1.5), "test reach from 1.5 to 1.5; give shares in"),
    ("accuracy", lambda: viz.accuracy(X, {"training": X[:2]}), "has shape (2,) and x (6,); give as many as x"),
    ("bars_by_layer", lambda: viz.bars_by_layer({"a": {"x": [1]}}), "values['a']['x'] has shape (1,); give a number"),
    ("bars_by_layer", lambda: viz.bars_by_layer({}), "values is a dict of nothing; give a dict by model and layer"),
    ("coherence", lambda: viz.coherence(X, {"stem": X}), "cosines['stem'] reach 6; give cosines in [-1, 1]"),
    ("coherence", lambda: viz.coherence(X, {"stem": [1.0]}), "its last axis must have 6, one for each x"),
    ("confusion", lambda: viz.confusion(np.ones((2, 3))), "counts have shape (2, 3)"),
    ("confusion", lambda: viz.confusion(-np.eye(2)), "the least is -1; give counts [K, K]"),
    ("confusion", lambda: viz.confusion(np.eye(2), ["a"]), "class_names are 1 and classes 2; give one for each"),
    ("cosine_map", lambda: viz.cosine_map(BY_LAYER, {"lif": 1.0}), "networks is of lif; give one for each of lif, hd"),
    ("cosines_by_layer", lambda: viz.cosines_by_layer({"lif": {"stem": "high"}}), "an array of <U4; give numbers"),
    ("curves", lambda: viz.curves(X[None], {"a": X}), "x has shape (1, 6); give [E]"),
    ("curves", lambda: viz.curves(X, {"a": X + 1j}), "values['a'] is an array of complex128; give numbers"),
    ("curves", lambda: viz.curves(X, {"a": [[1, 2], [1]]}), "values['a'] is no array; give [E]"),
    ("curves", lambda: viz.curves(X, X), "values is an array of int64; give a dict of [E]"),
    ("curves", lambda: viz.curves({"b": X}, {"a": X}), "give one for each of a, as values has"),
    (
        "epsilon_distribution",
        lambda: viz.epsilon_distribution({"a": np.ones((2, 3, 1))}),
        "has shape (2, 3, 1); give ε",
    ),
    ("epsilon_map", lambda: viz.epsilon_map({"a": np.ones((2, 2))}), "weights['a'] has shape (2, 2); give ε [T, T"),
    ("errors", lambda: viz.errors({"lif": 0.1}, TWO), "bias is of lif; give one for each of lif, hd-lif"),
    ("learning", lambda: viz.learning(X, X[:2], {"training": X / 10}), "values['training'] has shape (2,) and x (6,)"),
    ("membranes", lambda: viz.membranes(np.ones((2, 3, 4))), "membrane has shape (2, 3, 4); give [T] or [T, N]"),
    ("membranes", lambda: viz.membranes(np.ones((2, 13))), "membrane is of 13 neurons; choose at most 12"),
    ("membranes", lambda: viz.membranes(MEMBRANE, after=np.ones(T)), "after has shape (4,) and membrane (4, 2)"),
    ("membranes", lambda: viz.membranes(MEMBRANE, threshold=np.ones(3)), "threshold has shape (3,) and membrane (4,"),
    ("membranes", lambda: viz.membranes(MEMBRANE, names=["a"]), "names are 1 and membranes 2; give one for each"),
    ("memory", lambda: viz.memory({"a": 0}, {"a": 1}, steps=(4, 8)), "the least memory is 0 MB and the largest 1;"),
    ("memory", lambda: viz.memory({"a": 1}, {"b": 1}, steps=(4, 8)), "many is of b and few of a; give the same"),
    ("operations", lambda: viz.operations({"a": 1}, {"b": 1}), "macs are of b and sops of a; give the same layers"),
    ("pareto", lambda: viz.pareto(TWO, {"lif": 1.0}), "accuracies is of lif; give one for each of lif, hd-lif"),
    ("radar", lambda: viz.radar({"a": [1, 2]}, ["x", "y"]), "quantities are 2; give at least 3"),
    ("radar", lambda: viz.radar({"a": [1, -2, 3]}, ["x", "y", "z"]), "are [1.0, -2.0, 3.0]; give 3, none negative"),
    ("radar", lambda: viz.radar({"a": [1, 2, 3]}, ["x", "y", "z"], units=["s"]), "units are 1 and quantities 3"),
    ("raster", lambda: viz.raster(np.ones(3)), "spikes of neuron has shape (3,); give [T, N]"),
    ("raster", lambda: viz.raster(np.ones((3, 0))), "spikes of neuron has shape (3, 0); give [T, N]"),
    ("raster", lambda: viz.raster({"a": np.ones((3, 2)), "b": np.ones((4, 2))}), "spikes have [3, 4] time-steps"),
    ("raster", lambda: viz.raster({}), "spikes is an empty dict; give [T, N]"),
    ("memory", lambda: viz.memory({"a": 1}, {"a": np.inf}, steps=(4, 8)), "and the largest inf; give positive"),
    ("rate_bars", lambda: viz.rate_bars({"a": 7}), "firing['a'] reach from 7 to 7; give shares in [0, 1]"),
    ("rate_curves", lambda: viz.rate_curves(X, {"a": X}), "firing['a'] reach from 1 to 6; give shares in [0, 1]"),
    ("rates", lambda: viz.rates({"a": [0.5, -1]}), "firing['a'] reach from -1 to 0.5; give shares in [0, 1]"),
    ("steps", lambda: viz.steps([0.5], num_test=0), "count=0 must be at least 1"),
    ("rate_bars", lambda: viz.rate_bars({"a": [1, 2]}), "firing['a'] has shape (2,); give a number"),
    ("rate_curves", lambda: viz.rate_curves(X, {"a": X[:3]}), "firing['a'] has shape (3,); its last axis must have 6"),
    ("rates", lambda: viz.rates({"a": 0.5}), "firing['a'] has shape (); give [T]: time-steps"),
    ("rates", lambda: viz.rates({"a": [0.5], "b": [0.5, 0.5]}), "of several numbers of time-steps"),
    ("steps", lambda: viz.steps([50.0, 60.0]), "accuracies reach from 50 to 60; give shares in [0, 1]"),
    ("steps", lambda: viz.steps(np.ones((2, 2))), "accuracies has shape (2, 2); give [T]: time-steps"),
    ("times", lambda: viz.times({"a": None}), "milliseconds['a'] is an array of object; give numbers a number"),
]
