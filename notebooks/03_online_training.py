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
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.data import digits
from hdlif_jax.training import OptimizerConfig, make_optimizer, normalize, smoothed_cross_entropy

NUM_STEPS = 4
dataset = digits()
options = nn.SpikingOptions(num_steps=NUM_STEPS, neuron="hd-lif", weights="ternary")
model = nn.conv_net(dataset.input_shape, dataset.num_classes, widths=(16, 32), options=options, rngs=nnx.Rngs(0))

# %% [markdown]
# A model becomes a set of pure functions, in training form (normalised by the batch) or in inference form (by running
# statistics). Its variables are plain nested dictionaries of arrays.

# %%
network, inference = nn.training_form(model), nn.inference_form(model, record=True)
variables = nn.variables_of(model)
print(f"{sum(leaf.size for leaf in jax.tree.leaves(variables.params)):,} parameters")

# %% [markdown]
# ## One update
#
# `rollout.random_step` draws $t^*$, runs the steps before it forward only, and differentiates step $t^*$ alone. The
# optimiser leaves the per-step parameters of the other steps as they are: leak and threshold of a step that did not
# learn must not drift with the momentum.

# %%
NUM_UPDATES, BATCH = 300, 64
schedule = optax.schedules.warmup_cosine_decay_schedule(1e-3, 0.1, 50, NUM_UPDATES)
optimizer = make_optimizer(OptimizerConfig(), schedule, network.per_step)
loss_function = smoothed_cross_entropy(0.1)


def prepare(images):
    return normalize(jnp.asarray(images), dataset.mean, dataset.std)


@jax.jit
def update(variables, optimizer_state, images, labels, key):
    gradient = rollout.random_step(network, loss_function, variables, prepare(images), labels, key)
    updates, optimizer_state = optimizer.update(
        gradient.grads, optimizer_state, variables.params, learned=gradient.learned
    )
    params = optax.apply_updates(variables.params, updates)
    return nn.Variables(params, gradient.batch_stats), optimizer_state, gradient.loss, jnp.argmax(gradient.learned)


generator = np.random.default_rng(0)
optimizer_state = optimizer.init(variables.params)
losses, steps = [], []
for key in jax.random.split(jax.random.key(0), NUM_UPDATES):
    chosen = generator.choice(len(dataset.train.labels), BATCH, replace=False)
    images, labels = dataset.train.inputs[chosen], dataset.train.labels[chosen]
    variables, optimizer_state, loss, step = update(variables, optimizer_state, images, labels, key)
    losses.append(float(loss))
    steps.append(int(step) + 1)
print("how often each step taught:", np.bincount(steps, minlength=NUM_STEPS + 1)[1:])

# %% [markdown]
# ## What it has learned
#
# The prediction after $t$ steps is the argmax of the logits summed so far, so that a network may stop early.

# %%
logits, spikes = jax.jit(lambda variables, images: rollout.rollout_spikes(inference, variables, images))(
    variables, prepare(dataset.test.inputs)
)
accuracy = np.asarray(rollout.accuracy_per_step(logits, dataset.test.labels)) / len(dataset.test.labels)
print("test accuracy after 1…T steps:", np.round(accuracy, 4))
assert accuracy[-1] > 0.9

figure, (loss_axes, accuracy_axes, rate_axes) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
loss_axes.plot(losses, color="tab:blue", linewidth=0.8)
loss_axes.set(xlabel="update", ylabel="loss of the drawn step", title="Training")
accuracy_axes.plot(range(1, NUM_STEPS + 1), 100 * accuracy, "o-", color="tab:green")
accuracy_axes.set(xlabel="time-steps used", ylabel="test accuracy (%)", title="Accuracy over time")
accuracy_axes.set_xticks(range(1, NUM_STEPS + 1))
rates = {layer: 100 * float(jnp.mean(values != 0)) for layer, values in spikes.items()}
rate_axes.barh([layer.removeprefix("blocks.") for layer in rates], list(rates.values()), color="tab:red")
rate_axes.set(xlabel="neurons that fire (%)", title="Activity by layer")
rate_axes.invert_yaxis()
for axes in (loss_axes, accuracy_axes, rate_axes):
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Memory
#
# The compiled functions say how much memory they need beside their arguments. Back-propagation through time needs more
# for every step; one random step does not.

# %%
figure, axes = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
lengths = (4, 8, 16)
memory = {"random step": [], "STBP": []}
for length in lengths:
    longer = nn.conv_net(
        dataset.input_shape, 10, widths=(16,), options=nn.SpikingOptions(num_steps=length), rngs=nnx.Rngs(0)
    )
    form, start = nn.training_form(longer), nn.variables_of(longer)
    images, labels, key = (
        prepare(dataset.train.inputs[:BATCH]),
        jnp.asarray(dataset.train.labels[:BATCH]),
        jax.random.key(0),
    )

    def one_step(variables, images, labels, form=form, key=key):
        return rollout.random_step(form, loss_function, variables, images, labels, key).grads

    def all_steps(variables, images, labels, form=form):
        return rollout.stbp(form, loss_function, variables, images, labels, unroll=False).grads

    for name, function in (("random step", one_step), ("STBP", all_steps)):
        compiled = jax.jit(function).lower(start, images, labels).compile()
        memory[name].append(compiled.memory_analysis().temp_size_in_bytes / 1e6)
for name, megabytes in memory.items():
    axes.plot(lengths, megabytes, "o-", label=name)
    print(
        f"{name:12}", " ".join(f"T = {length}: {size:.1f} MB" for length, size in zip(lengths, megabytes, strict=True))
    )
axes.set(xlabel="time-steps T", ylabel="temporary memory (MB)", ylim=(0, None), title="Memory of one update")
axes.set_xticks(lengths)
axes.legend()
axes.grid(alpha=0.3)
plt.show()
