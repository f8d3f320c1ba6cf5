"""The charts of the page, as plotly.js reads them; looks, intervals and records are those of the other pictures."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from hdlif_jax import viz
from hdlif_jax.commands.support import plots
from hdlif_jax.viz.curves import WHOLE

Chart = dict[str, Any]  # "data" and "layout"
DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
           "X": "x", "<": "triangle-left", ">": "triangle-right", "*": "star", "h": "hexagon",
           "d": "diamond-tall"}  # fmt: skip
FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
SHOWN_STEPS = 600  # points of a curve of batches
NAMED, LONGEST = 40, 18  # classes whose names are at the axes, and signs of a name there
MARKED = 40  # points that are all marked


def loss(steps: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]]) -> Chart:
    """Loss of batches, and the mean of each epoch, by update."""
    data = []
    if steps:
        shown = [steps[index] for index in _thinned(len(steps))]
        data.append(_line(plots.column(shown, "step"), plots.column(shown, "loss"), "batches",
                          {"color": "#7F7F7F", "width": 1}))  # fmt: skip
    if epochs:
        ends = plots.column(epochs, "step")
        middles = ends - np.diff(ends, prepend=0) / 2
        data.append(
            _line(
                middles,
                plots.column(epochs, "train_loss"),
                "mean of an epoch",
                {"color": "#0072B2", "width": 2},
                "circle",
            )
        )
    return _chart(data, "Training loss", "update", "loss", {"rangemode": "tozero"})


def accuracy(epochs: Sequence[dict[str, Any]], test: float | None, num_test: int | None) -> Chart:
    """Accuracy of training and validation by epoch, and of the test images with its interval."""
    numbers, found = plots.column(epochs, "epoch"), plots.accuracies(epochs)
    data = [_look(look, numbers, 100 * found[name], name) for name, look in viz.looks(list(found)).items()]
    chart = _chart(data, "Accuracy", "epoch", "accuracy (%)")
    if test is not None and num_test is not None:
        low, high = viz.wilson(test, num_test)
        ends = [float(numbers[0]), float(numbers[-1])]
        data.append(_line(ends, [100 * test] * 2, "test", {"color": "#000000", "dash": "dot"}))
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
    whole = found.pop(WHOLE)
    data = [_look(look, numbers, found[name], name) for name, look in viz.looks(list(found)).items()]
    data.append(_line(numbers, whole, WHOLE, {"color": "#000000", "width": 3}))
    return _chart(data, "Coherence of the gradients", "epoch", "cosine(online, STBP)")


def rate_map(rates: Mapping[str, np.ndarray]) -> Chart:
    """The share of each layer's neurons that fire at each time-step."""
    values = 100 * np.stack(list(rates.values()))
    steps = [str(step) for step in range(1, values.shape[1] + 1)]
    trace = {
        "type": "heatmap",
        "z": np.round(values, 2).tolist(),
        "x": steps,
        "y": [_plain(layer) for layer in rates],
        "colorscale": "Viridis",
        "zmin": 0,
        "zmax": max(1e-9, float(values.max())),
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
    below = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "entrywidth": 0}
    chart["layout"] |= {"height": 400 + 12 * len(found), "legend": below}
    return chart


def operations(layers: Sequence[dict[str, Any]]) -> Chart:
    """SOPs and MACs of each layer of synapses."""
    names = [_plain(layer["path"]) for layer in layers]
    data = [
        {"type": "bar", "name": name, "x": names, "y": [layer[kind] / 1e6 for layer in layers],
         "marker": {"color": color, "pattern": {"shape": shape}},
         "hovertemplate": "%{x}: %{y:.4g} M " + name + "<extra></extra>"}
        for kind, name, color, shape in (("sops", "SOPs", "#0072B2", ""), ("macs", "MACs", "#E69F00", "/"))
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
    names, ticks = [_plain(name) for name in class_names], [_plain(_cut(name)) for name in class_names]
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
        "texttemplate": "%{text}" if len(names) <= 20 else "",
        "text": [[str(count or "") for count in row] for row in counts.tolist()],
        "hovertemplate": "true: %{customdata[0]}<br>predicted: %{customdata[1]}<br>%{z} inputs<extra></extra>",
        "colorbar": {"title": {"text": "inputs"}, "thickness": 12},
    }
    chart = _chart([trace], "Confusion", "predicted", "true")
    named = {"tickvals": places, "ticktext": ticks} if len(names) <= NAMED else {}
    chart["layout"]["xaxis"] |= named | {"tickangle": -45 if max(map(len, class_names)) > 2 else 0}
    chart["layout"]["yaxis"] |= named | {"autorange": "reversed"}
    chart["layout"]["height"] = max(420, min(900, 220 + 22 * len(names)))
    return chart


def _chart(data: list[Any], title: str, x: str, y: str, yaxis: dict[str, Any] | None = None) -> Chart:
    layout = {
        "title": {"text": title, "font": {"size": 16}, "x": 0.02, "y": 0.97, "yanchor": "top"},
        "xaxis": {"title": {"text": x}, "automargin": True},
        "yaxis": {"title": {"text": y, "standoff": 12}, "automargin": True} | (yaxis or {}),
        "margin": {"l": 60, "r": 20, "t": 80, "b": 50},
        "height": 400,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "entrywidth": 0},
        "font": {"family": FONT},
        "hovermode": "closest",
        "template": "none",
    }
    return {"data": data, "layout": layout}


def _line(x: Any, y: Any, name: str, line: dict[str, Any], symbol: str | None = None) -> dict[str, Any]:
    mode = "lines" if symbol is None else "lines+markers"
    trace = {"type": "scatter", "mode": mode, "x": _floats(x), "y": _floats(y), "name": _plain(name), "line": line}
    return trace if symbol is None else trace | {"marker": {"symbol": symbol, "size": 7}}


def _look(look: viz.Look, x: Any, y: Any, name: str) -> dict[str, Any]:
    line = {"color": to_hex(look.color), "dash": DASHES[look.linestyle], "width": 2}
    return _line(x, y, name, line, SYMBOLS[look.marker] if len(x) <= MARKED else None)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _plain(text: str) -> str:
    """A text that plotly shows as it is: it knows a few tags and entities, but none of quotes, and formulas."""
    return html.escape(text, quote=False).replace("$", "&#36;")


def _floats(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN_STEPS)).astype(int))
