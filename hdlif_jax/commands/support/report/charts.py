"""The charts of the page, as plotly.js reads them; looks, intervals and records are those of the other pictures."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from hdlif_jax import viz
from hdlif_jax.commands.support import plots

Chart = dict[str, Any]  # "data" and "layout"
DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
           "X": "x", "<": "triangle-left", ">": "triangle-right", "*": "star", "h": "hexagon",
           "d": "diamond-tall"}  # fmt: skip
SHOWN_STEPS = 600  # points of a curve of batches
MARKED = 40  # points that are all marked


def loss(steps: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]]) -> Chart:
    """Loss of batches, and the mean of each epoch, by update."""
    data = []
    if steps:
        shown = [steps[index] for index in _thinned(len(steps))]
        data.append(_line(plots.column(shown, "step"), plots.column(shown, "loss"), "batches",
                          {"color": "#7F7F7F", "width": 1}))  # fmt: skip
    if epochs:
        means = plots.column(epochs, "step"), plots.column(epochs, "train_loss")
        data.append(_line(*means, "mean of an epoch", {"color": "#0072B2", "width": 2}, "circle"))
    return _chart(data, "Training loss", "update", "loss", {"rangemode": "tozero"})


def accuracy(epochs: Sequence[dict[str, Any]], test: float | None, num_test: int | None) -> Chart:
    """Accuracy of training and validation by epoch, and of the test images with its interval."""
    numbers, found = plots.column(epochs, "epoch"), plots.accuracies(epochs)
    data = [_look(look, numbers, 100 * found[name], name) for name, look in viz.looks(list(found)).items()]
    chart = _chart(data, "Accuracy", "epoch", "accuracy (%)")
    if test is not None and num_test is not None:
        low, high = viz.wilson(test, num_test)
        ends = [float(numbers[0]), float(numbers[-1])]
        data.append(_line(ends, [100 * test] * 2, "test, last epoch", {"color": "#000000", "dash": "dot"}))
        chart["layout"]["shapes"] = [
            {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * low, "y1": 100 * high,
             "fillcolor": "#000000", "opacity": 0.1, "line": {"width": 0}}
        ]  # fmt: skip
    return chart


def over_steps(accuracies: Sequence[float], count: int) -> Chart:
    """Test accuracy after 1…T time-steps with 95 % intervals."""
    bounds = [viz.wilson(value, count) for value in accuracies]
    percent = [100 * value for value in accuracies]
    steps = list(range(1, len(accuracies) + 1))
    error = {
        "type": "data",
        "symmetric": False,
        "array": [100 * high - value for (_, high), value in zip(bounds, percent, strict=True)],
        "arrayminus": [value - 100 * low for (low, _), value in zip(bounds, percent, strict=True)],
    }
    trace = _line(steps, percent, "test", {"color": "#009E73", "width": 2}, "circle") | {"error_y": error}
    chart = _chart([trace], "Test accuracy after 1…T time-steps", "time-steps used", "accuracy (%)")
    chart["layout"]["xaxis"] |= {"dtick": 1 if len(steps) <= 16 else None}
    return chart


def coherence(records: Sequence[dict[str, Any]]) -> Chart:
    """Cosine of online and STBP gradient while the network learns."""
    numbers, found = plots.column(records, "epoch"), plots.cosines(records)
    data = [_look(look, numbers, found[name], name) for name, look in viz.looks(list(found)).items()]
    return _chart(data, "Coherence of the gradients", "epoch", "cosine(online, STBP)")


def rate_map(rates: Mapping[str, np.ndarray]) -> Chart:
    """The share of each layer's neurons that fire at each time-step."""
    values = 100 * np.stack(list(rates.values()))
    steps = [str(step) for step in range(1, values.shape[1] + 1)]
    trace = {
        "type": "heatmap",
        "z": np.round(values, 2).tolist(),
        "x": steps,
        "y": [html.escape(layer) for layer in rates],
        "colorscale": "Viridis",
        "zmin": 0,
        "texttemplate": "%{z:.3g}" if len(steps) <= 16 else "",
        "hovertemplate": "%{y}<br>step %{x}: %{z:.2f} % fire<extra></extra>",
        "colorbar": {"title": {"text": "%"}, "thickness": 12},
    }
    chart = _chart([trace], "Neurons that fire at each time-step (%)", "time-step", "")
    chart["layout"]["yaxis"] |= {"autorange": "reversed", "automargin": True}
    chart["layout"]["xaxis"] |= {"type": "category"}
    chart["layout"]["height"] = max(320, 140 + 24 * len(rates))
    return chart


def rate_curves(epochs: Sequence[dict[str, Any]]) -> Chart:
    """The share of each layer's neurons that fired in each epoch."""
    numbers, found = plots.column(epochs, "epoch"), plots.firing_rates(epochs)
    data = [_look(look, numbers, 100 * found[layer], layer) for layer, look in viz.looks(list(found)).items()]
    chart = _chart(data, "Firing rates while it learned", "epoch", "neurons that fire (%)", {"rangemode": "tozero"})
    chart["layout"]["height"] = max(380, 260 + 12 * len(found))
    return chart


def operations(layers: Sequence[dict[str, Any]]) -> Chart:
    """SOPs and MACs of each layer of synapses."""
    names = [html.escape(layer["path"]) for layer in layers]
    data = [
        {"type": "bar", "name": kind.upper(), "x": names, "y": [layer[kind] / 1e6 for layer in layers],
         "marker": {"color": color, "pattern": {"shape": shape}},
         "hovertemplate": "%{x}: %{y:.4g} M " + kind.upper() + "<extra></extra>"}
        for kind, color, shape in (("sops", "#0072B2", ""), ("macs", "#E69F00", "/"))
    ]  # fmt: skip
    chart = _chart(data, "Operations of an input, by layer", "", "millions")
    chart["layout"] |= {"barmode": "stack"}
    chart["layout"]["xaxis"] |= {"automargin": True, "tickangle": -45, "type": "category"}
    return chart


def confusion(counts: np.ndarray, class_names: Sequence[str]) -> Chart:
    """Which class is taken for which after all time-steps; the page shows that of other steps, too.

    Args:
      counts: `[K, K]`, rows are true classes.
      class_names: K of them.
    """
    names = [html.escape(name) for name in class_names]
    places = list(range(len(names)))
    trace = {
        "type": "heatmap",
        "z": counts.tolist(),
        "x": places,
        "y": places,
        "customdata": [[[row, column] for column in names] for row in names],
        "colorscale": [[0, "#f7f7f7"], [0.02, "#fde725"], [0.3, "#35b779"], [1, "#440154"]],
        "zmin": 0,
        "zmax": int(counts.sum(1).max()),
        "texttemplate": "%{z}" if len(names) <= 20 else "",
        "hovertemplate": "true: %{customdata[0]}<br>predicted: %{customdata[1]}<br>%{z} inputs<extra></extra>",
        "colorbar": {"title": {"text": "inputs"}, "thickness": 12},
    }
    chart = _chart([trace], "Confusion", "predicted", "true")
    ticks = {"tickvals": places, "ticktext": names, "automargin": True} if len(names) <= 40 else {"automargin": True}
    chart["layout"]["xaxis"] |= ticks | {"tickangle": -45 if max(map(len, class_names)) > 2 else 0}
    chart["layout"]["yaxis"] |= ticks | {"autorange": "reversed"}
    chart["layout"]["height"] = max(420, min(900, 220 + 22 * len(names)))
    return chart


def _chart(data: list[Any], title: str, x: str, y: str, yaxis: dict[str, Any] | None = None) -> Chart:
    layout = {
        "title": {"text": title, "font": {"size": 16}, "x": 0.02},
        "xaxis": {"title": {"text": x}, "automargin": True},
        "yaxis": {"title": {"text": y}, "automargin": True} | (yaxis or {}),
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "height": 380,
        "legend": {"orientation": "h", "y": -0.22},
        "hovermode": "closest",
        "template": "none",
    }
    return {"data": data, "layout": layout}


def _line(x: Any, y: Any, name: str, line: dict[str, Any], symbol: str | None = None) -> dict[str, Any]:
    mode = "lines" if symbol is None else "lines+markers"
    trace = {"type": "scatter", "mode": mode, "x": _floats(x), "y": _floats(y), "name": html.escape(name), "line": line}
    return trace if symbol is None else trace | {"marker": {"symbol": symbol, "size": 7}}


def _look(look: viz.Look, x: Any, y: Any, name: str) -> dict[str, Any]:
    line = {"color": to_hex(look.color), "dash": DASHES[look.linestyle], "width": 2}
    return _line(x, y, name, line, SYMBOLS[look.marker] if len(x) <= MARKED else None)


def _floats(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN_STEPS)).astype(int))
