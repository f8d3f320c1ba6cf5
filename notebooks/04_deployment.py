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
import dataclasses
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from experiments.deploy import Trained, accuracies, deploy, verify
from experiments.deployment_costs import costs_after, costs_before
from experiments.presets import PRESETS
from hdlif_jax import nn
from hdlif_jax.data import digits
from hdlif_jax.deploy import anytime, load
from hdlif_jax.training import Trainer, build_model

# %matplotlib inline

# %% [markdown]
# ## Train
#
# The preset of the README, for six epochs instead of forty.

# %%
config = dataclasses.replace(PRESETS["digits"].config, epochs=6)
trainer = Trainer(config, digits())
state = trainer.initial_state
for step in range(trainer.total_steps):
    state, metrics = trainer.train_step(state, *trainer.batch(step))
model = build_model(config.model, trainer.dataset.input_shape, trainer.dataset.num_classes, config.seed)
trained = Trained(config, trainer, nn.with_variables(model, state.variables), int(state.step))
test = trainer.dataset.test
print(f"{trained.step} updates, training loss {float(metrics.loss):.3f}")

# %% [markdown]
# ## Fold, pack, export
#
# Folding leaves kernels of −1, 0 and 1, and one scale and bias per channel. `verify` reads the artifact back from disk
# and compares its logits with the checkpoint's on the whole test set, in integer and in float arithmetic.

# %%
folder = pathlib.Path(tempfile.mkdtemp()) / "artifact"
folded = deploy(trained, folder)
findings, logits = verify(trained, folder)
for name in ("integer", "float"):
    print(
        f"{name}: largest difference of a logit {findings[name]['max_logit_difference']:.1e} of "
        f"{findings[name]['largest_logit']:.1f}; {findings[name]['other_predictions']} other predictions"
    )
for node in folded.graph.body[:6]:
    print(node)

# %% [markdown]
# ## Size and energy, before and after
#
# Before: the checkpoint, float32 weights and spikes. After: the artifact, ternary weights and 4-bit spikes, by the
# paper's formulas. The number of operations is the same: folding changes what an operation costs, not how many there
# are.

# %%
before = costs_before(trained.model, trainer.dataset, 64)
after = costs_after(trained.model, folded, config.model, trainer.dataset, 64)
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
# The artifact keeps the checkpoint's accuracy at every step. One step is nearly enough (Fig. 4 of the paper), so an
# inference may stop early: as soon as the margin between the two most probable classes is large.

# %%
network = load(folder)
steps = np.arange(1, network.manifest.num_steps + 1)
trade = anytime.trade_off(logits, test.labels, tuple(np.linspace(0, 1, 21)))
figure, (step_axes, exit_axes) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
checkpoint_accuracy = 100 * np.array(findings["checkpoint_accuracy_per_step"])
deployed_accuracy = 100 * np.array(accuracies(logits, test.labels))
step_axes.plot(steps, checkpoint_accuracy, "o-", color="tab:gray", label="checkpoint")
step_axes.plot(steps, deployed_accuracy, "x--", color="tab:green", label="deployed")
step_axes.set(xlabel="time-steps used", ylabel="test accuracy (%)", title="After 1…T steps", xticks=steps)
step_axes.legend()
exit_axes.plot([row.mean_steps for row in trade], [100 * row.accuracy for row in trade], "o-", color="tab:blue")
exit_axes.set(xlabel="mean time-steps used", title="With early exit, margin 0…1", xticks=steps)
for axes in (step_axes, exit_axes):
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Streaming
#
# The same artifact takes one frame at a time, in constant memory. A step too many is an error, because decay and
# threshold are learned per step.

# %%
stream = network.init_state(1)
for t in range(network.manifest.num_steps):
    stream, step_logits = network.step(stream, test.inputs[1:2])
    print(f"step {t + 1}: class {network.manifest.class_names[int(step_logits.argmax())]}, label {test.labels[1]}")
np.testing.assert_allclose(step_logits[0], logits[-1, 1], atol=1e-4)
