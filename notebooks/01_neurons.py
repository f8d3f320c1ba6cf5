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
# Four spiking neurons with one signature, `step(params_t, state, current) -> (state, spikes)`: pure functions, no loop
# over time inside. This notebook runs them on the same current and looks at three things: what stays in the membrane,
# what is emitted, and what the spike quantiser makes of it.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hdlif_jax.neurons import NeuronParams, NeuronState, hd_lif, lif, mem_bn, parallel
from hdlif_jax.quantize import SpikeQuantizer

NUM_STEPS = 24
times = np.arange(1, NUM_STEPS + 1)
current = 0.35 + 0.45 * jnp.sin(jnp.arange(NUM_STEPS) / 2.5) + 0.15 * jax.random.normal(jax.random.key(0), (NUM_STEPS,))
current = current[:, None]  # one neuron


def run(step, params, currents):
    """Residual potential and spikes, each `[T, neurons]`; a neuron without memory has a residual of None."""
    state, residuals, spikes = NeuronState(), [], []
    for step_current in currents:
        state, step_spikes = step(params, state, step_current)
        residuals.append(jnp.zeros_like(step_spikes) if state.residual is None else state.residual)
        spikes.append(step_spikes)
    return np.array(residuals), np.array(spikes)


# %% [markdown]
# ## LIF and HD-LIF
#
# Both leak and charge alike, $m_t = \lambda v_{t-1} + I_t$. They differ above the threshold:
#
# * **LIF** emits a spike of height $\theta$ and keeps the rest, $v = m - \theta$. How far the membrane was above the
#   threshold stays in the neuron, and so does its gradient.
# * **HD-LIF** emits *the excess*, $s^* = m - \theta$, and is left exactly at the threshold, $v = \min(m, \theta)$. What
#   was above has gone into the spike; nothing of it reaches the next step.

# %%
neurons = {
    "LIF": (lif.step, NeuronParams(jnp.float32(0.5), jnp.float32(1.0))),
    "HD-LIF": (hd_lif.step, NeuronParams(jnp.float32(0.5), jnp.float32(0.5))),
}
figure, rows = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
for axes, (name, (step, params)) in zip(rows, neurons.items(), strict=True):
    residuals, spikes = run(step, params, current)
    before = np.concatenate([[0], residuals[:-1, 0]])
    membranes = 0.5 * before + np.asarray(current)[:, 0]
    axes.plot(times, membranes, "o-", color="tab:blue", label="membrane $m_t$, before the reset")
    axes.plot(times, residuals[:, 0], ".--", color="tab:orange", label="residual $v_t$, after it")
    axes.bar(times, spikes[:, 0], color="tab:red", alpha=0.5, label="spike $s_t$")
    axes.axhline(params.threshold, color="gray", linewidth=1, linestyle=":", label="threshold")
    axes.set(title=name, ylabel="potential")
figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
rows[1].set_xlabel("time-step")
plt.show()

# %% [markdown]
# ## The derivatives
#
# LIF's step has no derivative, so training puts a triangle in its place: the gradient depends on *where* the membrane
# is. HD-LIF's spike has one: 0 up to and including the threshold, 1 above. No surrogate is needed.

# %%
membranes = jnp.linspace(-0.5, 2.5, 601)
figure, columns = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for axes, (name, (step, params)) in zip(columns, neurons.items(), strict=True):

    def emit(membrane, step=step, params=params):
        return step(params, NeuronState(), membrane)[1]

    axes.plot(membranes, jax.vmap(emit)(membranes), color="tab:red", label="spike $s(m)$")
    axes.plot(membranes, jax.vmap(jax.grad(emit))(membranes), color="tab:blue", label="derivative in training")
    axes.set(title=name, xlabel="membrane $m$")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# ## Quantised spikes
#
# The excess is a real number; the quantiser $Q$ of Eq. 4 puts it on 16 levels of size 1/4, a 4-bit integer. The reset
# uses the *unquantised* spike, so rounding never enters the membrane. The gradient passes straight through.

# %%
quantize = SpikeQuantizer(scale=0.25, bits=4)
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
# **Parallel HD-LIF** has no leak, no charge and no memory: one addition a step. **Mem-BN HD-LIF** normalises its
# membrane, in part, before it fires. For deployment that normalisation folds into the leak and into an affine of the
# current (Eqs. 7-8), and what is left is a vanilla HD-LIF:

# %%
currents = jax.random.normal(jax.random.key(1), (8, 256, 3))  # time, batch, channels
params = NeuronParams(jnp.float32(0.5), jnp.float32(0.5))
normalizer = mem_bn.MemBNParams(
    jnp.float32(0.6), jnp.float32(0.7), jnp.array([0.8, 1.0, 1.3]), jnp.array([0.1, 0.0, -0.2])
)
moments = mem_bn.Moments(jnp.array([0.2, -0.1, 0.0]), jnp.array([1.3, 0.9, 1.1]))
folded = mem_bn.reparameterize(params.decay, normalizer, moments)

normalized, vanilla, difference = NeuronState(), NeuronState(), 0.0
for current in currents:
    normalized, spikes = mem_bn.inference_step(params, normalizer, moments, normalized, current)
    affine = folded.current_scale[None, :] * current + folded.current_shift[None, :]
    vanilla_params = NeuronParams(folded.decay[None, :], params.threshold)
    vanilla, vanilla_spikes = hd_lif.step(vanilla_params, vanilla, affine)
    difference = max(difference, float(jnp.max(jnp.abs(spikes - vanilla_spikes))))
print(f"Mem-BN HD-LIF against the vanilla HD-LIF that it folds into: largest difference of a spike {difference:.1e}")
assert difference < 1e-5

_, memoryless = parallel.step(params.threshold, NeuronState(), currents[0])
_, first_step = hd_lif.step(params, NeuronState(), currents[0])
print("At the first step Parallel HD-LIF and HD-LIF agree:", bool(jnp.all(memoryless == first_step)))
