"""The pictures of the concept pages, drawn from what the library's functions compute."""

import json
import pathlib
import tempfile
from collections.abc import Callable

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from flax import nnx
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hdlif_jax as hd

MEMORY = pathlib.Path(__file__).parents[2] / "experiments" / "benchmarks" / "results" / "memory-cpu.json"
HALF, ONE = jnp.float32(0.5), jnp.float32(1.0)
PARAMS = hd.neurons.NeuronParams(decay=jnp.float32(0.8), threshold=ONE)
NEURONS = {"LIF": hd.neurons.lif.step, "HD-LIF": hd.neurons.hd_lif.step}
BLUE, ORANGE, RED, GREY = "#1f77b4", "#e07b00", "#c62828", "#777777"


def write(folder: pathlib.Path) -> None:
    """Draws what is not there yet, or older than this file."""
    folder.mkdir(exist_ok=True)
    matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    for name, draw in PICTURES.items():
        path = folder / f"{name}.png"
        if not path.exists() or path.stat().st_mtime < pathlib.Path(__file__).stat().st_mtime:
            draw().savefig(path, dpi=130)


def panels(count: int, height: float = 3.0, width: float = 8.0) -> tuple[Figure, list[Axes]]:
    """A figure of panels in a row, without pyplot, which would keep it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def traces() -> Figure:
    """Membrane, what stays of it, and spikes, of LIF and HD-LIF under one current."""
    currents = np.array([0.5, 0.4, 0.8, 0.1, 1.7, 0.3, 0.6, 0.2, 1.1, 0.5, 0.0, 0.9], np.float32)
    figure, columns = panels(2, 3.4)
    times = np.arange(1, len(currents) + 1)
    for axes, (name, step) in zip(columns, NEURONS.items(), strict=True):
        potential, membranes, left, spikes = jnp.zeros(()), [], [], []
        for current in currents:
            membranes.append(float(hd.neurons.charge(PARAMS.decay, potential, current)))
            potential, spike = step(PARAMS, potential, current)
            left.append(float(potential))
            spikes.append(float(spike))
        axes.bar(times, spikes, width=0.5, color=RED, alpha=0.45, label="spike s")
        axes.plot(times, membranes, "o-", color=BLUE, label="membrane m, before the reset")
        axes.plot(times, left, "s--", color=ORANGE, markersize=4, label="v, after it")
        axes.axhline(1, color=GREY, linewidth=0.8)
        axes.text(0.55, 1.03, "θ", color=GREY)
        axes.set(title=name, xlabel="time-step", xticks=times, ylim=(0, 2.6))
    columns[0].legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def derivatives() -> Figure:
    """Response and the derivative that training uses, over the membrane."""
    membranes = jnp.linspace(-0.5, 2.5, 601)
    figure, columns = panels(2)
    for axes, (name, step) in zip(columns, NEURONS.items(), strict=True):

        def emitted(current: jax.Array, step: Callable[..., tuple[jax.Array, jax.Array]] = step) -> jax.Array:
            return step(PARAMS, jnp.zeros(()), current)[1]

        response, slope = jax.vmap(jax.value_and_grad(emitted))(membranes)
        axes.plot(membranes, response, color=RED, label="spike s(m)")
        axes.plot(membranes, slope, "--", color=BLUE, label="∂s/∂m in training")
        axes.axvline(1, color=GREY, linewidth=0.8)
        axes.set(title=name, xlabel="membrane m", ylim=(-0.1, 1.7))
        axes.legend(frameon=False, loc="upper left")
    return figure


def levels() -> Figure:
    """The quantiser Q and its range."""
    raw = jnp.linspace(0, 4.6, 1000)
    figure, (axes,) = panels(1, 2.8, 5.0)
    for bits, color in ((4, RED), (2, ORANGE)):
        quantize = hd.quantize.SpikeQuantizer(scale=0.25, bits=bits)
        axes.plot(raw, quantize(raw), color=color, label=f"{bits} bits, {2**bits} levels of 0.25")
    axes.plot(raw, raw, ":", color=GREY, label="s*, not quantised")
    axes.set(xlabel="excess over the threshold s*", ylabel="spike s = Q(s*)")
    axes.legend(frameon=False)
    return figure


def epsilon() -> Figure:
    """The values that ε takes, over many neurons."""
    num_steps = 4
    currents = jax.random.normal(jax.random.key(0), (num_steps, 4096))
    thresholds = {"LIF": jnp.ones(num_steps), "HD-LIF": jnp.full(num_steps, 0.5)}
    figure, columns = panels(2)
    for axes, (name, step) in zip(columns, NEURONS.items(), strict=True):
        params = hd.neurons.NeuronParams(jnp.full(num_steps, 0.5), thresholds[name])
        found = jax.jit(hd.analysis.separability.temporal_contributions, static_argnums=0)(step, params, currents)
        index = float(hd.analysis.separability.separability_index(found.weights))
        values = np.asarray(found.weights)[np.tril_indices(num_steps)].ravel()
        axes.hist(values[values != 0], bins=np.linspace(-0.01, 1.01, 52), color=RED if name == "LIF" else BLUE)
        distinct = len(hd.analysis.separability.distinct_values(found.weights))
        counted = f"{distinct} values" if distinct < 100 else "any value"
        axes.set(title=f"{name}: {counted}, index {index:.2f}", xlabel="ε, where it is not 0")
    columns[0].set_ylabel("neurons and pairs of steps")
    return figure


def graph() -> Figure:
    """Which ways the gradient takes back, of STBP and of one time-step."""
    figure, columns = panels(2, 2.9)
    steps, layers = 4, 3
    for axes, title, teaches in zip(
        columns, ("STBP: all steps, and back in time", "online: step t* = 3 alone"), (None, 2), strict=True
    ):
        for t in range(steps):
            for layer in range(layers):
                on = teaches is None or t == teaches
                axes.scatter(t, layer, s=180, color=BLUE if on else "#cccccc", zorder=3)
                if layer:
                    arrow = {"arrowstyle": "->", "color": RED if on else "#dddddd", "linewidth": 1.6 if on else 0.8}
                    axes.annotate("", (t, layer - 0.85), (t, layer - 0.15), arrowprops=arrow)
                if t:
                    back = {
                        "arrowstyle": "->" if teaches is None else "-",
                        "linewidth": 1.6 if teaches is None else 0.8,
                    }
                    back["color"] = RED if teaches is None else "#bbbbbb"
                    back["linestyle"] = "-" if teaches is None else ":"
                    axes.annotate("", (t - 0.85, layer), (t - 0.15, layer), arrowprops=back)
        axes.set(title=title, xticks=range(steps), xticklabels=[f"t = {t + 1}" for t in range(steps)])
        axes.set(yticks=range(layers), yticklabels=[f"layer {layer + 1}" for layer in range(layers)])
        axes.set(xlim=(-0.5, steps - 0.5), ylim=(-0.5, layers - 0.5))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def memory() -> Figure:
    """What XLA plans for a training step, by T, as `python -m experiments.benchmarks.memory` measured it."""
    measured = json.loads(MEMORY.read_text())["temp"]
    figure, (axes,) = panels(1, 3.0, 5.5)
    shown = {
        "stbp": (RED, "o", "STBP"),
        "accumulate": (ORANGE, "^", "online, every step"),
        "random_step": (BLUE, "s", "online, one step"),
    }
    for rule, (color, marker, label) in shown.items():
        steps = [int(step) for step in measured[rule]]
        axes.plot(steps, list(measured[rule].values()), f"{marker}-", color=color, label=label)
    axes.set(
        xlabel="time-steps T",
        ylabel="MB beside state and batch",
        xscale="log",
        yscale="log",
        xticks=steps,
        xticklabels=steps,
    )
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure


def artifact() -> Figure:
    """Bytes of a model's parameters as float32 and of the files of its artifact."""
    spec = hd.nn.Spec(num_steps=4, neuron=hd.nn.hd_lif(bits=4), second_neuron=hd.nn.parallel(bits=4), weights="ternary")
    model = hd.nn.conv_net((8, 8, 1), 10, widths=(32, 64, 64), spec=spec, rngs=nnx.Rngs(0))
    as_floats = sum(leaf.nbytes for leaf in jax.tree.leaves(hd.nn.variables_of(model)))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "artifact"
        names = tuple("0123456789")
        hd.deploy.deploy(model, None, path, mean=(0.3,), std=(0.3,), input_kind="image", class_names=names)
        sizes = {file.name: file.stat().st_size for file in sorted(path.iterdir())}
    rows = {"parameters as float32": as_floats} | dict(sorted(sizes.items(), key=lambda item: -item[1]))
    figure, (axes,) = panels(1, 2.6, 6.5)
    places = range(len(rows))
    axes.barh(places, [size / 1000 for size in rows.values()], color=[GREY] + [BLUE] * len(sizes))
    for place, size in zip(places, rows.values(), strict=True):
        axes.text(size / 1000 + 5, place, f"{size / 1000:,.1f}", va="center")
    axes.set(yticks=places, yticklabels=rows, xlabel="kB", xlim=(0, 1.12 * as_floats / 1000))
    axes.invert_yaxis()
    return figure


PICTURES = {
    "traces": traces,
    "derivatives": derivatives,
    "levels": levels,
    "epsilon": epsilon,
    "graph": graph,
    "memory": memory,
    "artifact": artifact,
}
