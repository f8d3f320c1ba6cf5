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
# # Deployment: from a checkpoint to a small artifact
#
# A network is trained online for a few epochs on handwritten digits, folded into small integers and a few scales,
# packed, exported, and loaded again without Flax. Then: how large is it, how accurate after each time-step, what does
# an inference cost, and how many time-steps does it need?

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
import pathlib
import tempfile

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

import hdlif_jax as hd

# %matplotlib inline

# %% [markdown]
# ## Train
#
# What the README's preset `digits` is made of, for six epochs instead of forty and with a shorter warm-up: a plan of
# the data, and a trainer of model, rule, loss and optimiser. `trainer.fit` would add validation and checkpoints.

# %%
dataset = hd.data.digits()
plan = hd.training.plan(dataset, epochs=6, batch_size=64)
spec = hd.nn.Spec(num_steps=4, neuron=hd.nn.hd_lif(bits=4), second_neuron=hd.nn.parallel(bits=4), weights="ternary")
model = hd.nn.conv_net(dataset.input_shape, dataset.num_classes, widths=(32, 64, 64), spec=spec, rngs=nnx.Rngs(0))
rate = hd.training.warmup_cosine(0.1, warmup=plan.steps_per_epoch, total=plan.total_steps)
decays = hd.training.decaying_kernels(hd.nn.training_form(model).per_step)
optimizer = optax.chain(optax.add_decayed_weights(5e-4, decays), optax.sgd(rate, 0.9, nesterov=True))
crops = hd.training.make_preprocess(
    dataset.mean, dataset.std, dataset.num_classes, augmentation=hd.training.Augmentation(crop_padding=1)
)
loss = hd.losses.cross_entropy(label_smoothing=0.1)
trainer = hd.training.Trainer(plan, model, hd.learning.random_step(), loss, optimizer, preprocess=crops)

state = trainer.initial_state
for step in range(plan.total_steps):
    state, metrics = trainer.train_step(state, trainer.batch(step))
trained = hd.nn.with_variables(model, state.variables)
test = dataset.test
print(f"{int(state.step)} updates, training loss {float(metrics.loss):.2f}")

# %% [markdown]
# ## Fold, pack, export
#
# Folding leaves kernels of −1, 0 and 1, and one scale and bias per channel. `verify` reads the artifact back from disk
# and compares it with the checkpoint on the whole test set, in integer and in float arithmetic, and refuses accuracies
# that are too far apart. Folded arithmetic rounds in another order than the checkpoint: a spike whose current lies at
# the edge of a level may come out one level higher or lower, and then a logit differs by more than rounding. Which
# images that happens to is luck, and other on another machine; what counts is that they are few. From here on the
# folded arithmetic is the definition.

# %%
folder = pathlib.Path(tempfile.mkdtemp()) / "artifact"
moments = {"mean": dataset.mean, "std": dataset.std}
folded = hd.deploy.deploy(trained, None, folder, **moments, input_kind="image", class_names=dataset.class_names)
verification = hd.deploy.verify.verify(trained, folder, test, **moments, tolerance=0.01)
for name, found in verification.comparisons.items():
    few = max(found.inputs_at_an_edge, found.other_predictions) <= 0.05 * len(test.labels)
    print(f"{name}: at most 5 % of {len(test.labels)} images met an edge or are classified otherwise: {few}")
print("\nthe first nodes of the folded network:")
for node in folded.graph.body[:6]:
    kind = getattr(node, "kind", type(node).__name__.lower())
    sources = f"{node.source} and {node.other}" if kind == "add" else node.source
    print(f"  {node.name} = {kind} of {sources}{', on integers' if getattr(node, 'integer', False) else ''}")

# %% [markdown]
# ## Size and energy, before and after
#
# Before: the checkpoint, float32 weights and spikes. After: the artifact, ternary weights and 4-bit spikes, by the
# paper's formulas. The number of operations is the same: folding changes what an operation costs, not how many there
# are.

# %%
images = hd.training.normalize(jnp.asarray(test.inputs[:64]), dataset.mean, dataset.std)
before, after = hd.deploy.costs.deployment_costs(trained, folded, [images])
sizes = {file.name: file.stat().st_size / 1e3 for file in sorted(folder.iterdir())}
figure, (size_axes, energy_axes, file_axes) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
names = ["checkpoint", "deployed"]
for axes, values, unit, title in (
    (size_axes, [1e3 * before.parameters_mb, 1e3 * after.parameters_mb], "kB", "Weights, as the paper counts"),
    (energy_axes, [1e6 * before.power_mj, 1e6 * after.power_mj], "nJ", "Energy of an inference"),
):
    bars = axes.bar(names, values, color=["tab:gray", "tab:green"], width=0.6)
    axes.bar_label(bars, [f"{value:,.0f} {unit}" for value in values], padding=2)
    axes.set(title=title, ylabel=unit, ylim=(0, 1.15 * max(values)))
bars = file_axes.barh(list(sizes), list(sizes.values()), color="tab:green")
file_axes.bar_label(bars, [f"{size:.1f}" for size in sizes.values()], padding=2)
file_axes.set(title=f"The artifact on disk: {sum(sizes.values()):.0f} kB", xlabel="kB")
file_axes.set_xlim(0, 1.2 * max(sizes.values()))
file_axes.invert_yaxis()
plt.show()

# %% [markdown]
# ## Accuracy per time-step
#
# The artifact keeps the checkpoint's accuracy at every step. The first steps are nearly enough (Fig. 4 of the paper),
# so an inference may stop early: as soon as the margin between the two most probable classes is large.

# %%
network = hd.deploy.load(folder)
steps = np.arange(1, network.manifest.num_steps + 1)
deployed = verification.comparisons[verification.arithmetic]
trade = hd.deploy.anytime.trade_off(verification.logits, test.labels, tuple(np.linspace(0, 1, 21)))
figure, (step_axes, exit_axes) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
found = {"checkpoint": verification.accuracy_per_step, "deployed": deployed.accuracy_per_step}
hd.viz.steps(found, axes=step_axes)
step_axes.set_ylim(90, 100)
step_axes.legend()
exit_axes.plot([row.mean_steps for row in trade], [100 * row.accuracy for row in trade], "o-", color="tab:blue")
exit_axes.set(xlabel="mean time-steps used", title="With early exit, margin 0…1", xticks=steps)
exit_axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Streaming
#
# The same artifact takes one frame at a time, in constant memory. A step too many is an error, because decay and
# threshold are learned per step.

# %%
stream, total = network.init_state(1), 0
for t in range(network.manifest.num_steps):
    stream, logits = network.step(stream, test.inputs[1:2])
    total = total + logits
    print(f"step {t + 1}: class {network.manifest.class_names[int(total.argmax())]}, label {test.labels[1]}")
