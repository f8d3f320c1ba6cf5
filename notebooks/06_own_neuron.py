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
# # Your own neuron, from zero to deployed
#
# A neuron that the library does not know: a LIF whose threshold rises with every spike. It is written as a function of
# one time-step, put into a network, checked, trained online, asked how far its online gradient is from the true one,
# and deployed as a small artifact. Nothing in the package is changed for it.

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

# %% [markdown]
# ## The dynamics
#
# `step(params, state, current) -> (state, spikes)`: pure, without a loop over time, on a state that is any pytree. The
# spike is one where the membrane reaches the threshold; its derivative in training is that of a surrogate.

# %%
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

import hdlif_jax as hd
from hdlif_jax import viz

# %matplotlib inline

spike = hd.neurons.surrogates.triangle()


def adaptive_step(params, state, current):
    """LIF with the threshold 1 + strength · adaptation, which spikes raise and time lowers."""
    membrane = 0.5 * state["potential"] + current
    threshold = 1 + params["strength"] * state["adaptation"]
    spikes = spike(membrane - threshold)
    return {"potential": membrane - threshold * spikes, "adaptation": 0.8 * state["adaptation"] + spikes}, spikes


def over_time(strength, currents):
    """Potential, threshold and spikes `[T]` of one neuron."""

    def body(state, current):
        state, spikes = adaptive_step({"strength": strength}, state, current)
        return state, (state["potential"], 1 + strength * state["adaptation"], spikes)

    return jax.lax.scan(body, {"potential": jnp.zeros(()), "adaptation": jnp.zeros(())}, currents)[1]


times, current = np.arange(1, 31), jnp.full(30, 0.9)
figure, rows = plt.subplots(2, 1, figsize=(9, 3.8), layout="constrained", sharex=True)
for axes, strength in zip(rows, (0.0, 0.3), strict=True):
    potential, threshold, spikes = over_time(strength, current)
    axes.plot(times, potential, "o-", markersize=3, color="tab:blue", label="potential after the reset")
    axes.plot(times, threshold, "--", color="tab:red", label="threshold of the next step")
    axes.vlines(times[np.asarray(spikes) == 1], 0, 0.25, color="black", label="spikes")
    axes.set(title=f"strength {strength}: {int(spikes.sum())} spikes in {len(times)} steps", ylim=(0, 2))
rows[-1].set_xlabel("time-step")
rows[0].legend(loc="upper left", ncols=3, fontsize=8)
plt.show()

# %% [markdown]
# ## The cell
#
# A cell holds what is learned and says two things about itself: what it emits, which costs and deployment go by, and
# how many operations it takes. A class that is called with `(num_steps, num_channels)` is what networks take as a
# neuron.


# %%
class AdaptiveLIF(hd.nn.NeuronCell):
    emits = hd.nn.BINARY  # 0 or 1
    operations = 5

    def __init__(self, num_steps, num_channels):
        self.raw_strength = nnx.Param(jnp.full((), -1.0))

    def start(self, x):
        return {"potential": jnp.zeros_like(x), "adaptation": jnp.zeros_like(x)}

    def advance(self, state, x, tick):
        return adaptive_step({"strength": jax.nn.softplus(self.raw_strength[...])}, state, x)


def network_of(neuron):
    spec = hd.nn.Spec(num_steps=NUM_STEPS, neuron=neuron, weights="ternary")
    return hd.nn.conv_net(dataset.input_shape, dataset.num_classes, widths=(24,), spec=spec, rngs=nnx.Rngs(0))


NUM_STEPS, NUM_UPDATES, BATCH = 4, 250, 64
dataset = hd.data.digits()
model = network_of(AdaptiveLIF)

# %% [markdown]
# ## Does it keep its word?
#
# What every tool here relies on: the state keeps its shapes and types, spikes are those that the cell says it emits,
# each image is computed by itself, and layer by layer gives what step by step gives. If one of these fails, it is
# better to know now.

# %%
cell, inputs = AdaptiveLIF(NUM_STEPS, 3), jax.random.normal(jax.random.key(0), (8, 3)) + 1
state = cell.start(inputs)
for t in range(NUM_STEPS):
    after, spikes = cell.advance(state, inputs, hd.nn.Tick(jnp.int32(t)))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(lambda a: (a.shape, a.dtype), state)
    assert set(np.unique(spikes)) <= {0, 1}
    one, _ = cell.advance(jax.tree.map(lambda a: a[:1], state), inputs[:1], hd.nn.Tick(jnp.int32(t)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[:1], rtol=1e-6), one, after)
    state = after

variables, images = hd.nn.variables_of(model), jax.random.normal(jax.random.key(1), (4, *dataset.input_shape))
inference = hd.nn.inference_form(model)
layer_by_layer = inference.sequence(inference.quantize(variables.params), variables.batch_stats, images, None).logits
np.testing.assert_allclose(hd.rollout.rollout(inference, variables, images), layer_by_layer, atol=1e-5)
print("state, spikes, batch and layer-by-layer form are as they should be")

# %% [markdown]
# ## Train it
#
# Online, by one random time-step a batch, beside the LIF of the library in the same network.

# %%
preprocess = hd.training.make_preprocess(dataset.mean, dataset.std, dataset.num_classes)
loss = hd.losses.cross_entropy(label_smoothing=0.1)
batches = hd.data.BatchReader(dataset.train, BATCH, seed=0)
test = hd.training.normalize(jnp.asarray(dataset.test.inputs), dataset.mean, dataset.std)


def trained(model):
    """The variables after a short online training."""
    optimizer = optax.sgd(hd.training.warmup_cosine(0.1, warmup=40, total=NUM_UPDATES), 0.9, nesterov=True)
    learner, step = hd.training.start(model, hd.learning.random_step(), loss, optimizer, preprocess=preprocess)
    for update in range(NUM_UPDATES):
        learner, _ = step(learner, batches(update))
    return learner.variables


models = {"adaptive": model, "lif": network_of(hd.nn.lif())}
learned = {name: trained(model) for name, model in models.items()}
for name, model in models.items():
    logits = hd.rollout.rollout(hd.nn.inference_form(model), learned[name], test)
    right = np.asarray(hd.rollout.accuracy_per_step(logits, dataset.test.labels)) / len(dataset.test.labels)
    costs = hd.analysis.measure(hd.nn.with_variables(model, learned[name]), [test[:64]]).summary()
    print(f"{name:9} test accuracy after 1…T steps {np.round(right, 3)}, {costs['sops_m']:.2f} million SOPs an image")
    assert right[-1] > 0.85
strength = jax.nn.softplus(learned["adaptive"].params["blocks"][0]["neuron1"]["raw_strength"])
print(f"strength of the first layer: {float(jax.nn.softplus(-1.0)):.3f} at first, {float(strength):.3f} learned")

# %% [markdown]
# ## How far is its online gradient from the true one?
#
# Online learning drops what goes back through time. On a fixed batch the sum of all steps' online gradients is compared
# with back-propagation through time, layer by layer: 1 is the same direction.

# %%
images, labels = batches(0)
fixed = hd.learning.Batch(hd.training.normalize(jnp.asarray(images), dataset.mean, dataset.std), jnp.asarray(labels))
cosines = {}
for name, model in models.items():
    compare = hd.analysis.separability.make_comparison(hd.nn.training_form(model, record=True), loss)
    found = compare(learned[name], fixed)
    layers = ("stem", "blocks.0.conv1", "blocks.0.conv2", "head")
    cosines[name] = {layer: float(found.layers[layer].accumulate.cosine) for layer in layers}
    print(f"{name:9} cosine of all gradients {float(found.network.accumulate.cosine):.3f}")
viz.cosines_by_layer(cosines, title="Online gradients of the trained networks")

# %% [markdown]
# ## Deploy it
#
# An artifact runs without this class. What runs in the place of a cell is said by a rule of a few lines: the same
# step function, with what was learned as constants. Without one, folding refuses by name. `verify` reads the artifact
# back from disk and compares it with the network on the whole test set.


# %%
@hd.deploy.rule(AdaptiveLIF)
def fold_adaptive(folding, cell, name, source):
    params = {"strength": jax.nn.softplus(cell.raw_strength[...])}
    folding.neuron(name, source, cell, adaptive_step, params, height=1.0)


folder, moments = pathlib.Path(tempfile.mkdtemp()) / "artifact", {"mean": dataset.mean, "std": dataset.std}
network = hd.nn.with_variables(models["adaptive"], learned["adaptive"])
hd.deploy.deploy(network, None, folder, **moments, input_kind="image", class_names=dataset.class_names)
verification = hd.deploy.verify.verify(network, folder, dataset.test, **moments, tolerance=0.01)
deployed = verification.comparisons[verification.arithmetic]
print(f"{hd.deploy.size_on_disk(folder) / 1e3:.0f} kB on disk")
print(f"test accuracy {verification.accuracy_per_step[-1]:.4f}, deployed {deployed.accuracy_per_step[-1]:.4f}")

# %% [markdown]
# ## Infer
#
# With jax and numpy alone: all time-steps at once, or step by step in constant memory, as frames arrive.
# `python -m hdlif_jax.commands.infer` does the same with pictures on the command line.

# %%
artifact = hd.deploy.load(folder)
picture, label = dataset.test.inputs[1:2], dataset.test.labels[1]
stream, total = artifact.init_state(1), 0
figure, columns = plt.subplots(1, NUM_STEPS + 1, figsize=(11, 2.2), layout="constrained", width_ratios=[1] + [2] * 4)
columns[0].imshow(picture[0, ..., 0], cmap="gray_r")
columns[0].set(title=f"label {label}", xticks=[], yticks=[])
for t, axes in enumerate(columns[1:], 1):
    stream, logits = artifact.step(stream, picture)
    total = total + np.asarray(logits[0])
    axes.bar(range(10), total, color=["tab:blue" if digit == total.argmax() else "0.7" for digit in range(10)])
    axes.set(title=f"after step {t}: {total.argmax()}", xticks=range(10), yticks=[])
plt.show()
np.testing.assert_allclose(np.asarray(artifact(picture)).sum(0)[0], total, atol=1e-4)
