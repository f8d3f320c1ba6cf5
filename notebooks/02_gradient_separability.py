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
# # Gradient separability: how far is the online gradient from the true one?
#
# The true gradient of a spiking network goes back through time (STBP), and its memory grows with the number of steps.
# Online learning drops the part that goes through time and keeps constant memory. What does that cost? It depends on
# the neuron. Here are LIF and HD-LIF side by side, in numbers and pictures: first one neuron, then a network.

# %%
import dataclasses
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from experiments.presets import PRESETS
from experiments.separability_figures import cosine_per_layer, epsilon_distribution, epsilon_maps, estimator_variance
from experiments.separability_models import study
from experiments.separability_neurons import MODELS
from hdlif_jax.analysis.separability import (
    closed_form_contributions,
    distinct_values,
    online_error,
    separability_index,
    spatial_alignment,
    temporal_contributions,
    theorem_deviation,
)
from hdlif_jax.neurons import NeuronParams, hd_lif, lif
from hdlif_jax.quantize import SpikeQuantizer

# %matplotlib inline

# %% [markdown]
# ## One neuron
#
# Definition 4.1 asks how much the spike at step $i$ contributes to the gradient of the membrane at an earlier step $t$:
#
# $$\epsilon[i,t] = \frac{\partial s_i}{\partial m_i} \prod_{j=t+1}^{i} \frac{\partial m_j}{\partial m_{j-1}}$$
#
# Online learning keeps the diagonal. If all $\epsilon$ were one constant, it would lose nothing but a factor.

# %%
NUM_STEPS = 4
currents = jax.random.normal(jax.random.key(0), (NUM_STEPS, 4096))
half, one = jnp.full((NUM_STEPS,), 0.5), jnp.ones(NUM_STEPS)
neurons = {"lif": (lif.step, NeuronParams(half, one)), "hd-lif": (hd_lif.step, NeuronParams(half, half))}
contributions = jax.jit(temporal_contributions, static_argnums=0)
samples = {name: contributions(step, params, currents) for name, (step, params) in neurons.items()}

epsilon_maps(samples)
plt.show()

# %% [markdown]
# LIF's $\epsilon$ takes any value, as its surrogate depends on the membrane. HD-LIF's takes a handful: 0, 1, and
# products of leaks. The *separability index* is the share of $\sum\epsilon^2$ over the active entries that the best
# constant leaves unexplained: 0 if they are all equal.

# %%
figures = {
    name: {
        "distinct_epsilon_values": len(distinct_values(sample.weights)),
        "separability_index": float(separability_index(sample.weights)),
    }
    for name, sample in samples.items()
}
print("HD-LIF's values:", distinct_values(samples["hd-lif"].weights))
epsilon_distribution(samples, figures)
plt.show()

# %% [markdown]
# For HD-LIF all of $\epsilon$ follows from which steps fire. The closed form agrees with automatic differentiation, and
# both statements of Theorem 4.2 hold to rounding. The same checks fail for LIF.

# %%
closed = jax.jit(closed_form_contributions)(neurons["hd-lif"][1], currents)
print(f"closed form against autodiff: {float(jnp.max(jnp.abs(closed.weights - samples['hd-lif'].weights))):.1e}")
deviations = {name: jax.jit(theorem_deviation)(sample.weights, half) for name, sample in samples.items()}
for name, deviation in deviations.items():
    error = jax.jit(online_error)(samples[name].weights, samples[name].spikes)
    print(
        f"{name:7} Theorem 4.2, worst deviation: finite set {deviation.finite_set:.1e}, "
        f"(i) {deviation.online_from_stbp:.1e}, (ii) {deviation.stbp_value:.1e}\n"
        f"        online instead of STBP: error at silent steps {error.silent:.3f}, at firing steps {error.firing:.3f}"
    )
assert deviations["hd-lif"].worst < 1e-5 < deviations["lif"].worst

# %% [markdown]
# HD-LIF is left at its threshold when it fires, so nothing of that step's membrane is handed on: at firing steps the
# online gradient *is* the true one. The whole gap is at silent steps.
#
# ## Along space: is the derivative the slope?
#
# A surrogate also misleads within one step. Compare the derivative that training uses with the finite difference of the
# real, quantised response, over a distance of half a spike level:

# %%
quantize = SpikeQuantizer()


def quantized_step(params, state, current):
    return hd_lif.step(params, state, current, quantize=quantize)


membranes = jnp.linspace(-1, 2.9, 400)
figure, columns = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for axes, (name, step) in zip(columns, (("lif", lif.step), ("hd-lif", quantized_step)), strict=True):
    params = jax.tree.map(lambda leaf: leaf[0], neurons[name][1])
    alignment = spatial_alignment(step, params, membranes, radius=quantize.scale / 2)
    axes.plot(membranes, alignment.response, color="tab:red", label="finite difference")
    axes.plot(membranes, alignment.derivative, color="tab:blue", linestyle="--", label="derivative in training")
    axes.set(title=f"{name}: cosine {alignment.cosine:.3f}", xlabel="membrane $m$", ylabel="ds/dm")
    axes.legend()
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## A network
#
# A small network on handwritten digits, trained online with one random step a batch (Algorithm 1). On a fixed batch we
# compare the accumulated online gradient with STBP, before and after training. `python -m experiments.separability`
# does the same with all neuron models, the full-sized network and five seeds.

# %%
digits = PRESETS["digits"].config
config = dataclasses.replace(digits, model=dataclasses.replace(digits.model, widths=(32, 32), num_steps=NUM_STEPS))
studies = {}
with tempfile.TemporaryDirectory() as folder:
    for name in ("lif", "hd-lif"):
        studies[name], _ = study(MODELS[name], config, (0,), 50, pathlib.Path(folder) / name)

for name, result in studies.items():
    print(
        f"{name:7} cosine of the first layer: {result['first_layer_cosine_init']:.4f} at initialisation, "
        f"{result['first_layer_cosine_trained']:.4f} after 50 updates"
    )
cosine_per_layer(studies)
plt.show()

# %% [markdown]
# The error of the online gradient adds up on the way down, so the first layers suffer most, and LIF's much more than
# HD-LIF's. Nothing is lost at the head, above which no neuron remembers anything.
#
# Random steps add variance on top of that bias. On a fixed batch both are known exactly, because the random step has
# only $T$ possible gradients:

# %%
estimator_variance(studies)
plt.show()
