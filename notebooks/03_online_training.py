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
# # Online training
#
# Algorithm 1 in a page: build a network, take the gradient of one random time-step, update, repeat. Memory does not
# depend on the number of steps, because nothing is kept of the steps before.

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
import numpy as np
import optax
from flax import nnx

import hdlif_jax as hd

# %matplotlib inline

NUM_STEPS, NUM_UPDATES, BATCH = 4, 300, 64
dataset = hd.data.digits()
batches = hd.data.BatchReader(dataset.train, BATCH, seed=0)  # uint8 images and labels of each update
preprocess = hd.training.make_preprocess(dataset.mean, dataset.std, dataset.num_classes)  # normalises them
loss = hd.losses.cross_entropy(label_smoothing=0.1)
spec = hd.nn.Spec(
    num_steps=NUM_STEPS, neuron=hd.nn.hd_lif(bits=4), second_neuron=hd.nn.parallel(bits=4), weights="ternary"
)

# %% [markdown]
# ## A complete training in five lines
#
# Everything is a value that is handed on: neurons, weights, loss, learning rule, and any optax transformation. `start`
# makes of them what learns, and a jitted step `(learner, batch) -> (learner, metrics)`. The two lines of `history` only
# keep what is shown below.

# %%
model = hd.nn.conv_net(dataset.input_shape, dataset.num_classes, widths=(16, 32), spec=spec, rngs=nnx.Rngs(0))
optimizer = optax.sgd(hd.training.warmup_cosine(0.1, warmup=50, total=NUM_UPDATES), 0.9, nesterov=True)
learner, step = hd.training.start(model, hd.learning.random_step(), loss, optimizer, preprocess=preprocess)
history = [(jnp.nan, learner.params)]
for update in range(NUM_UPDATES):
    learner, metrics = step(learner, batches(update))
    history.append((metrics.loss, learner.params))

print(f"{sum(leaf.size for leaf in jax.tree.leaves(learner.params)):,} parameters, {int(learner.step)} updates")

# %% [markdown]
# Your own neuron, loss or rule takes the place of any of these; see the first notebook and the pages in
# docs/howto.
#
# ## One update
#
# `random_step` draws $t^*$, runs the steps before it forward only, and differentiates step $t^*$ alone. Leak and
# threshold are learned for each step, and those of a step that did not learn must not drift with the momentum: `start`
# wraps the optimiser so that they, and their moments, stay as they are. So the thresholds tell which step taught.

# %%
thresholds = np.array([params["blocks"][0]["neuron1"]["raw_threshold"] for _, params in history])  # [updates + 1, T]
taught = np.diff(thresholds, axis=0) != 0
assert np.all(taught.sum(1) <= 1)
print("how often each step moved its own threshold of the first layer:", taught.sum(0))

figure, axes = plt.subplots(figsize=(10, 2), layout="constrained")
axes.imshow(taught[:60].T, aspect="auto", cmap="Blues", extent=(0.5, 60.5, NUM_STEPS + 0.5, 0.5))
axes.set(xlabel="update", ylabel="time-step", title="Which step's threshold an update moves (the first 60 updates)")
axes.set_yticks(range(1, NUM_STEPS + 1))
plt.show()

# %% [markdown]
# A gradient can also be had alone. A model becomes a set of pure functions, in training form (normalised by the batch)
# or in inference form (by running statistics), of variables that are plain nested dictionaries of arrays.

# %%
network = hd.nn.training_form(model)
images, labels = batches(0)
batch = hd.learning.Batch(*preprocess(jax.random.key(0), jnp.asarray(images), jnp.asarray(labels)))


@jax.jit
def online(variables, key):
    return hd.learning.random_step().gradient(network, loss, variables, batch, key)


for key in jax.random.split(jax.random.key(0), 3):
    gradient = online(learner.variables, key)
    has_gradient = gradient.grads["blocks"][0]["neuron1"]["raw_threshold"] != 0
    print("steps that taught:", *gradient.learned.astype(int), "  with a gradient:", *has_gradient.astype(int))

# %% [markdown]
# ## What it has learned
#
# The prediction after $t$ steps is the argmax of the logits summed so far, so that a network may stop early.

# %%
inference = hd.nn.inference_form(model, record=True)
normalize = hd.training.make_normalize(dataset.mean, dataset.std)
logits, spikes = jax.jit(lambda variables, images: hd.rollout.rollout_spikes(inference, variables, normalize(images)))(
    learner.variables, dataset.test.inputs
)
right = hd.rollout.accuracy_per_step(logits, dataset.test.labels)
accuracy = np.asarray(right) / len(dataset.test.labels)
print("test accuracy after 1…T steps:", np.round(accuracy, 3))
assert accuracy[-1] > 0.9

figure, (loss_axes, accuracy_axes, rate_axes) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
losses = [loss for loss, _ in history]
hd.viz.curves(
    range(1, len(losses) + 1), {"loss": losses}, xlabel="update", ylabel="loss of the drawn step", axes=loss_axes
)
hd.viz.steps(accuracy, num_test=len(dataset.test.labels), axes=accuracy_axes)
hd.viz.rate_bars({layer: float(jnp.mean(values != 0)) for layer, values in spikes.items()}, axes=rate_axes)
plt.show()

# %% [markdown]
# ## Memory
#
# The compiled functions say how much memory they need beside their arguments. Back-propagation through time needs more
# for every step; one random step does not.

# %%
rules = {"random step": hd.learning.random_step(), "STBP": hd.learning.stbp(unroll=False)}
lengths = (4, 8, 16)
megabytes = {name: [] for name in rules}
for name, rule in rules.items():
    for length in lengths:
        longer = hd.nn.conv_net(
            dataset.input_shape, 10, widths=(16,), spec=hd.nn.Spec(num_steps=length), rngs=nnx.Rngs(0)
        )

        def gradient(variables, batch, key, rule=rule, form=hd.nn.training_form(longer)):
            return rule.gradient(form, loss, variables, batch, key).grads

        cost = hd.analysis.compiled_cost(gradient, hd.nn.variables_of(longer), batch, jax.random.key(0))
        megabytes[name].append(cost.temporaries_mb)
    print(
        f"{name:12}",
        " ".join(f"T = {length}: {size:.0f} MB" for length, size in zip(lengths, megabytes[name], strict=True)),
    )
hd.viz.curves(lengths, megabytes, xlabel="time-steps T", ylabel="temporary memory (MB)", title="Memory of one update")
