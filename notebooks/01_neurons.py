# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The neurons
#
# A neuron is a function of one time-step, `step(params_t, state, current) -> (state, spikes)`: pure, with no loop over
# time inside, on a state that is any pytree of arrays. So this notebook begins with one of your own, and then looks at
# those of the library: what stays in the membrane, what is emitted, and what the gradient makes of it.

# %%
import importlib.util
import pathlib
import subprocess
import sys

found = importlib.util.find_spec("hdlif_jax")
if found is None or found.origin is None:  # as on Colab; where it is installed, nothing happens
    # It is on no package index: it comes from a wheel beside this notebook, which `python -m pip wheel --no-deps .` in
    # a clone makes (on Colab, upload it to Files), or from the clone that this notebook lies in.
    here = pathlib.Path.cwd()
    clones = [here.parent] if (here.parent / "hdlif_jax" / "__init__.py").exists() else []
    sources = [*sorted(here.glob("hdlif_jax-*.whl")), *clones]
    if not sources:
        raise ModuleNotFoundError(f"upload a wheel of hdlif_jax to {here}; a comment in this cell says how to make one")
    package = f"hdlif_jax[commands] @ {sources[0].as_uri()}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

# %%
import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import hdlif_jax as hd

# %matplotlib inline

# %% [markdown]
# ## One of your own
#
# LIF whose threshold rises with every spike and falls back in between, on a state of two arrays. The spike function is
# one of the library's: a step, with a surrogate for its derivative.

# %%
spike = hd.neurons.surrogates.triangle()


def adaptive_step(strength, state, current):
    """LIF with the threshold 1 + strength · adaptation."""
    membrane = 0.8 * state["potential"] + current
    threshold = 1 + strength * state["adaptation"]
    spikes = spike(membrane - threshold)
    return {"potential": membrane - threshold * spikes, "adaptation": 0.9 * state["adaptation"] + spikes}, spikes


def run(step, params, state, currents):
    """The state after each of T steps, and the spikes `[T, ...]`."""

    def body(state, current):
        state, spikes = step(params, state, current)
        return state, (state, spikes)

    return jax.lax.scan(body, state, currents)[1]


NUM_STEPS = 24
times = np.arange(1, NUM_STEPS + 1)
silent = {"potential": jnp.zeros(1), "adaptation": jnp.zeros(1)}  # one neuron
figure, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
for row, strength in enumerate((0.0, 0.4, 0.8)):
    states, spikes = run(adaptive_step, strength, silent, jnp.full((NUM_STEPS, 1), 0.9))
    axes.plot(times, 1 + strength * states["adaptation"][:, 0], "-", color=f"C{row}", label=f"strength {strength}")
    fires = np.asarray(spikes[:, 0]) > 0
    axes.plot(times[fires], np.full(fires.sum(), 0.6 - 0.2 * row), "|", color=f"C{row}", markersize=10)
axes.set(
    xlabel="time-step", ylabel="next threshold", title="A threshold that adapts, and when the neuron fires (ticks)"
)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## LIF and HD-LIF
#
# The state of the library's neurons is the potential $v$ alone. Both leak and charge alike,
# $m_t = \lambda v_{t-1} + I_t$. They differ above the threshold:
#
# * **LIF** emits a spike of height $\theta$ and keeps the rest, $v = m - \theta$. How far the membrane was above the
#   threshold stays in the neuron, and so does its gradient.
# * **HD-LIF** emits *the excess*, $s^* = m - \theta$, and is left exactly at the threshold, $v = \min(m, \theta)$. What
#   was above has gone into the spike; nothing of it reaches the next step.

# %%
current = 0.35 + 0.45 * jnp.sin(jnp.arange(NUM_STEPS) / 2.5) + 0.15 * jax.random.normal(jax.random.key(0), (NUM_STEPS,))
current = current[:, None]  # one neuron
neurons = {
    "LIF": (hd.neurons.lif.step, hd.neurons.NeuronParams(jnp.float32(0.5), jnp.float32(1.0))),
    "HD-LIF": (hd.neurons.hd_lif.step, hd.neurons.NeuronParams(jnp.float32(0.5), jnp.float32(0.5))),
}


def show(chosen):
    """Membranes, what the resets leave, and spikes of neurons by name, each `(step, params)`, on `current`."""
    traces = []
    for step, params in chosen.values():
        after, spikes = (np.asarray(values[:, 0]) for values in run(step, params, jnp.zeros(1), current))
        membrane = params.decay * np.concatenate([[0], after[:-1]]) + np.asarray(current[:, 0])
        traces.append((membrane, after, spikes, np.full(NUM_STEPS, params.threshold)))
    membrane, after, spikes, threshold = np.stack(traces, -1)  # each [T, N]
    return hd.viz.membranes(membrane, spikes=spikes, after=after, threshold=threshold, names=list(chosen))


show(neurons)

# %% [markdown]
# LIF comes in the variants that the field uses. The reset subtracts the threshold ("soft"), sets the membrane to zero
# ("hard"), or leaves it as it is ("none"); spikes may be of height 1 instead of $\theta$, a neuron exactly at its
# threshold may stay silent, and the reset may be a constant to the gradient.

# %%
params = hd.neurons.NeuronParams(jnp.float32(0.8), jnp.float32(1.0))
show(
    {
        f'LIF, $\\lambda$ = 0.8, reset="{reset}"': (functools.partial(hd.neurons.lif.step, reset=reset), params)
        for reset in ("soft", "hard", "none")
    }
)

# %% [markdown]
# ## The derivatives
#
# LIF's step has no derivative, so training puts a surrogate in its place, by default a triangle: the gradient depends
# on *where* the membrane is. HD-LIF's spike has a derivative: 0 up to and including the threshold, 1 above. No
# surrogate is needed.

# %%
membranes = jnp.linspace(-0.5, 2.5, 601)
surrogates = (
    hd.neurons.surrogates.triangle(),
    hd.neurons.surrogates.rectangle(),
    hd.neurons.surrogates.sigmoid(),
    hd.neurons.surrogates.arctan(),
    hd.neurons.surrogates.fast_sigmoid(),
    hd.neurons.surrogates.custom(lambda excess: jnp.exp(-jnp.square(2 * excess))),  # your own
)
figure, columns = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
for axes, (name, (step, params)) in zip(columns, neurons.items(), strict=False):

    def emit(membrane, step=step, params=params):
        return step(params, jnp.zeros(()), membrane)[1]

    axes.plot(membranes, jax.vmap(emit)(membranes), color="tab:red", label="spike $s(m)$")
    axes.plot(membranes, jax.vmap(jax.grad(emit))(membranes), color="tab:blue", label="derivative in training")
    axes.set(title=name, xlabel="membrane $m$", ylim=(-0.1, 2.2))
    axes.legend(loc="upper left")
for surrogate in surrogates:
    columns[2].plot(membranes, jax.vmap(jax.grad(surrogate))(membranes - 1), label=type(surrogate).__name__)
columns[2].set(title="Surrogates, for a threshold of 1", xlabel="membrane $m$")
columns[2].legend(fontsize=8)
for axes in columns:
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Quantised spikes
#
# The excess is a real number; the quantiser $Q$ of Eq. 4 puts it on 16 levels of size 1/4, a 4-bit integer. The reset
# uses the *unquantised* spike, so rounding never enters the membrane. The gradient passes straight through.

# %%
quantize = hd.quantize.SpikeQuantizer(scale=0.25, bits=4)
raw = jnp.linspace(0, 5, 1001)
figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
axes.plot(raw, raw, color="gray", linestyle=":", label="unquantised")
axes.plot(raw, quantize(raw), color="tab:red", label="$Q(s^*)$")
axes.set(xlabel="$s^*$", ylabel="$s$", title=f"levels 0…{quantize.max_level}, then it clips")
axes.legend()
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## The rest of the family
#
# **Parallel HD-LIF** has no leak, no charge and no memory: its state is empty, and a step is one addition. **Mem-BN
# HD-LIF** normalises its membrane, in part, before it fires. For deployment that normalisation folds into the leak and
# into an affine of the current (Eqs. 7-8), and what is left is a vanilla HD-LIF:

# %%
mem_bn, hd_lif = hd.neurons.mem_bn, hd.neurons.hd_lif
currents = jax.random.normal(jax.random.key(1), (8, 256, 3))  # time, batch, channels
start = jnp.zeros((256, 3))
params = hd.neurons.NeuronParams(jnp.float32(0.5), jnp.float32(0.5))
normalizer = mem_bn.MemBNParams(
    jnp.float32(0.6), jnp.float32(0.7), jnp.array([0.8, 1.0, 1.3]), jnp.array([0.1, 0.0, -0.2])
)
moments = mem_bn.Moments(jnp.array([0.2, -0.1, 0.0]), jnp.array([1.3, 0.9, 1.1]))
folded = mem_bn.reparameterize(params.decay, normalizer, moments)


def normalized_step(params, potential, current):
    return mem_bn.inference_step(params, normalizer, moments, potential, current)


_, normalized = run(normalized_step, params, start, currents)
vanilla_params = hd.neurons.NeuronParams(folded.decay[None, :], params.threshold)
_, vanilla = run(hd_lif.step, vanilla_params, start, folded.current_scale * currents + folded.current_shift)
difference = float(jnp.max(jnp.abs(normalized - vanilla)))
assert difference < 1e-5
print(f"{normalized.size:,} spikes up to {float(jnp.max(normalized)):.1f}, of Mem-BN HD-LIF and of the vanilla HD-LIF")
print("that it folds into: no two differ by more than 1e-5")

_, memoryless = hd.neurons.parallel.step(params.threshold, (), currents[0])
_, first_step = hd_lif.step(params, start, currents[0])
print("At the first step Parallel HD-LIF and HD-LIF agree:", bool(jnp.all(memoryless == first_step)))

# %% [markdown]
# ## In a network
#
# Networks are built of *factories*, values that say which neurons they are to have; the parameters of a cell are
# learned. A cell of your own is a class that is called with the number of steps and channels. Here the neuron of the
# beginning stands between two of the library's:


# %%
class AdaptiveLIF(hd.nn.NeuronCell):
    """The neuron of the beginning, with a learned strength."""

    emits = hd.nn.BINARY  # 0 or one height, which costs and deployment go by
    operations = 5

    def __init__(self, num_steps, num_channels):
        self.raw_strength = nnx.Param(jnp.zeros(()))

    def start(self, x):
        return {"potential": jnp.zeros_like(x), "adaptation": jnp.zeros_like(x)}

    def advance(self, state, x, tick):
        return adaptive_step(jax.nn.softplus(self.raw_strength[...]), state, x)


rngs = nnx.Rngs(0)
hard = hd.nn.lif(surrogate=hd.neurons.surrogates.arctan(), decay=0.8, learn_decay=False, reset="hard")
sizes, cells = (8, 64, 64, 64), (hard, AdaptiveLIF, hd.nn.hd_lif(bits=4))
layers = []
for inputs, outputs, cell in zip(sizes[:-1], sizes[1:], cells, strict=True):
    layers += [hd.nn.Linear(inputs, outputs, rngs=rngs), cell]
layers.append(hd.nn.Linear(64, 3, rngs=rngs))
model = hd.nn.Sequential(*layers, num_steps=4, input_shape=(8,))
print(hard)
batch = 2 * jax.random.normal(jax.random.key(2), (32, 8))
network, variables = hd.nn.inference_form(model, record=True), hd.nn.variables_of(model)
print("logits after each step, [T, B, K]:", hd.rollout.rollout(network, variables, batch).shape)
for path, rate in hd.rollout.firing_rates(network, variables, batch).items():
    cell = model.layers[int(path.removeprefix("layers."))]
    print(f"{path}, {type(cell).__name__:11}: {100 * float(rate):.0f} % of the neurons fire")
