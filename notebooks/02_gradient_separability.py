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
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
from flax import nnx

import hdlif_jax as hd
from hdlif_jax import viz

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
neurons = {
    "lif": (hd.neurons.lif.step, hd.neurons.NeuronParams(half, one)),
    "hd-lif": (hd.neurons.hd_lif.step, hd.neurons.NeuronParams(half, half)),
}
separability = hd.analysis.separability
contributions = jax.jit(separability.temporal_contributions, static_argnums=0)
samples = {name: contributions(step, params, currents) for name, (step, params) in neurons.items()}

viz.epsilon_map({name: sample.weights for name, sample in samples.items()})

# %% [markdown]
# LIF's $\epsilon$ takes any value, as its surrogate depends on the membrane. HD-LIF's takes a handful: 0, 1, and
# products of leaks. The *separability index* is the share of $\sum\epsilon^2$ over the active entries that the best
# constant leaves unexplained: 0 if they are all equal.

# %%
weights = {name: sample.weights for name, sample in samples.items()}
notes = {
    name: f"{len(separability.distinct_values(epsilon))} distinct values, "
    f"index {float(separability.separability_index(epsilon)):.3f}"
    for name, epsilon in weights.items()
}
print("HD-LIF's values:", separability.distinct_values(samples["hd-lif"].weights))
viz.epsilon_distribution(weights, notes=notes)

# %% [markdown]
# For HD-LIF all of $\epsilon$ follows from which steps fire. The closed form agrees with automatic differentiation, and
# both statements of Theorem 4.2 hold to rounding. The same checks fail for LIF.

# %%
ROUNDING = 1e-5


def bounded(deviation):
    """What is rounding is not told from zero."""
    return f"< {ROUNDING:.0e}" if deviation < ROUNDING else f"{deviation:.2f}"


closed = jax.jit(separability.closed_form_contributions)(neurons["hd-lif"][1], currents)
print("HD-LIF, closed form against autodiff:", bounded(jnp.max(jnp.abs(closed.weights - samples["hd-lif"].weights))))
for name, sample in samples.items():
    deviation = jax.jit(separability.theorem_deviation)(sample.weights, half)
    error = jax.jit(separability.online_error)(sample.weights, sample.spikes)
    print(
        f"{name:7} Theorem 4.2, worst deviation: finite set {bounded(deviation.finite_set)}, "
        f"(i) {bounded(deviation.online_from_stbp)}, (ii) {bounded(deviation.stbp_value)}\n"
        f"        online instead of STBP: error at silent steps {bounded(error.silent)}, "
        f"at firing steps {bounded(error.firing)}"
    )
    assert (deviation.worst < ROUNDING) == (name == "hd-lif")

# %% [markdown]
# HD-LIF is left at its threshold when it fires, so nothing of that step's membrane is handed on: at firing steps the
# online gradient *is* the true one. The whole gap is at silent steps.
#
# ## Along space: is the derivative the slope?
#
# A surrogate also misleads within one step. Compare the derivative that training uses with the finite difference of the
# real, quantised response, over a distance of half a spike level:

# %%
quantize = hd.quantize.SpikeQuantizer(scale=0.25, bits=4)


def quantized_step(params, potential, current):
    return hd.neurons.hd_lif.step(params, potential, current, quantize=quantize)


membranes = jnp.linspace(-1, 2.9, 400)
figure, columns = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for axes, (name, step) in zip(columns, (("lif", hd.neurons.lif.step), ("hd-lif", quantized_step)), strict=True):
    params = jax.tree.map(lambda leaf: leaf[0], neurons[name][1])
    alignment = separability.spatial_alignment(step, params, membranes, radius=quantize.scale / 2)
    axes.plot(membranes, alignment.response, color="tab:red", label="finite difference")
    axes.plot(membranes, alignment.derivative, color="tab:blue", linestyle="--", label="derivative in training")
    axes.set(title=f"{name}: cosine {alignment.cosine:.2f}", xlabel="membrane $m$", ylabel="ds/dm")
    axes.legend()
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## A network
#
# A small network on handwritten digits, trained online with one random step a batch (Algorithm 1). On a fixed batch we
# compare the accumulated online gradient with STBP, before and after training. `study` takes any network, loss and
# training; `python -m experiments.separability` hands it all four neurons of the library, a larger network and five
# seeds.

# %%
NUM_UPDATES, BATCH = 50, 64
dataset = hd.data.digits()
loss = hd.losses.cross_entropy(label_smoothing=0.1)
preprocess = hd.training.make_preprocess(dataset.mean, dataset.std, dataset.num_classes)
images, labels = dataset.train.inputs[:BATCH], dataset.train.labels[:BATCH]
fixed = hd.learning.Batch(hd.training.normalize(jnp.asarray(images), dataset.mean, dataset.std), jnp.asarray(labels))


def trained(seed, model):
    """The variables after 50 updates."""
    optimizer = optax.sgd(optax.linear_schedule(1e-3, 0.05, NUM_UPDATES), 0.9, nesterov=True)
    learner, step = hd.training.start(
        model, hd.learning.random_step(), loss, optimizer, preprocess=preprocess, seed=seed
    )
    batches = hd.data.BatchReader(dataset.train, BATCH, seed)
    for update in range(NUM_UPDATES):
        learner, _ = step(learner, batches(update))
    return learner.variables


studies = {}
for name, neuron in (("lif", hd.nn.lif()), ("hd-lif", hd.nn.hd_lif(bits=4))):
    spec = hd.nn.Spec(num_steps=NUM_STEPS, neuron=neuron, weights="ternary")

    def make_model(seed, spec=spec):
        return hd.nn.conv_net(dataset.input_shape, 10, widths=(32, 32), spec=spec, rngs=nnx.Rngs(seed))

    studies[name], _ = separability.study(make_model, loss, fixed, trained, seeds=(0,))

for name, result in studies.items():
    print(
        f"{name:7} cosine of the first layer: {result['first_layer_cosine_init']:.3f} at initialisation, "
        f"{result['first_layer_cosine_trained']:.3f} after {NUM_UPDATES} updates"
    )
figure, both = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", sharey=True)
for axes, (stage, title) in zip(both, (("init", "At initialisation"), ("trained", "After training")), strict=True):
    cosines = {
        name: {layer: found["mean"] for layer, found in result["cosine_per_layer"][stage].items()}
        for name, result in studies.items()
    }
    viz.cosines_by_layer(cosines, title=title, axes=axes)
    axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# The error of the online gradient adds up on the way down, so the first layers suffer most, and LIF's much more than
# HD-LIF's. Nothing is lost at the top, above the last neurons, where nothing remembers.
#
# Random steps add variance on top of that bias. On a fixed batch both are known exactly, because the random step has
# only $T$ possible gradients:

# %%
figure, both = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
parts = (("variance", 1, "Variance of $T g$ about the sum of all steps"), ("bias_stbp", 2, "Bias² of that sum to STBP"))
for axes, (part, power, title) in zip(both, parts, strict=True):
    values = {
        name: {layer: place[part] ** power for layer, place in result["estimator"]["trained"].items()}
        for name, result in studies.items()
    }
    viz.bars_by_layer(values, title=title, axes=axes)
    axes.legend()
plt.show()
