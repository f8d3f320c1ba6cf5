"""Neuron cells: a neuron's learnable parameters, indexed by time, around its pure step function.

Every cell is called as `(state, current, t) -> (state, spikes)`. A state of None starts a sequence. A cell whose
attribute `record` is True leaves its spikes in the state that it returns.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.neurons import NeuronParams, NeuronState, hd_lif, lif, mem_bn, parallel
from hdlif_jax.neurons.surrogate import SpikeFunction
from hdlif_jax.nn.synapses import SpikeInput
from hdlif_jax.quantize import SpikeQuantizer

NeuronKind = Literal["lif", "hd-lif", "parallel", "mem-bn"]
MOMENTUM = 0.9  # of the running statistics: running = 0.9 · running + 0.1 · batch


class PerStepParam(nnx.Param):
    """A parameter whose leading axis is time, `[T, ...]`; an online update at step t moves only entry t."""


class NeuronCell(nnx.Module):
    """What the cells share: the start of a sequence and the recording of spikes."""

    record: bool = False
    emits: SpikeInput  # what the layer behind the neuron reads: costs, folding and the integer forward go by it
    operations: int = 3  # NOPs of a neuron and step: leak, charge and reset
    _step: Callable[..., tuple[NeuronState, jax.Array]]  # of each kind, on a state that is never None

    def __call__(
        self, state: NeuronState | None, current: jax.Array, t: jax.Array | int
    ) -> tuple[NeuronState, jax.Array]:
        """One time-step: I_t `[B, ..., C]` to s_t `[B, ..., C]`."""
        # Membranes are float32 whatever the currents are: rounding would add up over the steps.
        membrane_current = current.astype(jnp.float32)
        state, spikes = self._step(NeuronState() if state is None else state, membrane_current, t)
        spikes = spikes.astype(current.dtype)
        return (state._replace(spikes=spikes) if self.record else state), spikes


class LIFCell(NeuronCell):
    """LIF (Eq. 1) with a learnable leak λ = sigmoid(raw), from 0.5, and threshold θ, from 1, shared over time."""

    def __init__(self, spike_function: SpikeFunction = lif.DEFAULT_SPIKE_FUNCTION):
        self.record = False
        self.emits = SpikeInput(None)
        self.raw_decay = nnx.Param(jnp.zeros(()))
        self.threshold = nnx.Param(jnp.ones(()))
        self.spike_function = spike_function

    def _step(self, state, current, t):
        del t  # Eq. 1 has no per-step parameters
        params = NeuronParams(jax.nn.sigmoid(self.raw_decay[...]), self.threshold[...])
        return lif.step(params, state, current, spike_function=self.spike_function)


class HDLIFCell(NeuronCell):
    """HD-LIF (Eq. 4) with a learnable leak and threshold per step, λ_t = sigmoid(raw), θ_t = sigmoid(raw), from 0.5."""

    def __init__(self, num_steps: int, quantize: SpikeQuantizer):
        self.record = False
        self.emits = SpikeInput(quantize)
        self.raw_decay = PerStepParam(jnp.zeros(num_steps))
        self.raw_threshold = PerStepParam(jnp.zeros(num_steps))
        self.quantize = quantize

    def params_at(self, t) -> NeuronParams:
        """λ_t and θ_t, scalars."""
        return NeuronParams(jax.nn.sigmoid(self.raw_decay[t]), jax.nn.sigmoid(self.raw_threshold[t]))

    def _step(self, state, current, t):
        return hd_lif.step(self.params_at(t), state, current, quantize=self.quantize)


class ParallelHDLIFCell(NeuronCell):
    """Parallel HD-LIF (Section 4.2) with a learnable threshold per step, θ_t = sigmoid(raw), from 0.5."""

    operations = 1  # one addition

    def __init__(self, num_steps: int, quantize: SpikeQuantizer):
        self.record = False
        self.emits = SpikeInput(quantize)
        self.raw_threshold = PerStepParam(jnp.zeros(num_steps))
        self.quantize = quantize

    def _step(self, state, current, t):
        return parallel.step(jax.nn.sigmoid(self.raw_threshold[t]), state, current, quantize=self.quantize)


class MemBNHDLIFCell(HDLIFCell):
    """Mem-BN HD-LIF (Eq. 6): one BatchNorm of the membrane per time-step, α_t = sigmoid(raw), β_t = sigmoid(raw).

    The attribute `use_running_average`, which `model.train()` and `model.eval()` set, chooses between the batch's
    moments, recorded into the running statistics of step t, and those running statistics.
    """

    def __init__(self, num_steps: int, num_channels: int, quantize: SpikeQuantizer):
        super().__init__(num_steps, quantize)
        self.use_running_average = False
        self.raw_membrane_weight = PerStepParam(jnp.zeros(num_steps))
        self.raw_normalized_weight = PerStepParam(jnp.zeros(num_steps))
        self.scale = PerStepParam(jnp.ones((num_steps, num_channels)))
        self.shift = PerStepParam(jnp.zeros((num_steps, num_channels)))
        self.mean = nnx.BatchStat(jnp.zeros((num_steps, num_channels)))
        self.var = nnx.BatchStat(jnp.ones((num_steps, num_channels)))

    def mem_bn_params_at(self, t) -> mem_bn.MemBNParams:
        """α_t and β_t, scalars; γ_t and b_t `[C]`."""
        return mem_bn.MemBNParams(
            jax.nn.sigmoid(self.raw_membrane_weight[t]),
            jax.nn.sigmoid(self.raw_normalized_weight[t]),
            self.scale[t],
            self.shift[t],
        )

    def moments_at(self, t) -> mem_bn.Moments:
        """The running μ_t and σ_t², `[C]`."""
        return mem_bn.Moments(self.mean[t], self.var[t])

    def _step(self, state, current, t):
        params, mem_bn_params = self.params_at(t), self.mem_bn_params_at(t)
        if self.use_running_average:
            return mem_bn.inference_step(
                params, mem_bn_params, self.moments_at(t), state, current, quantize=self.quantize
            )
        state, spikes, moments = mem_bn.training_step(params, mem_bn_params, state, current, quantize=self.quantize)
        # Running statistics are for inference only: no gradient may pass through them.
        moments = jax.lax.stop_gradient(moments)
        self.mean[...] = self.mean[...].at[t].set(MOMENTUM * self.mean[t] + (1 - MOMENTUM) * moments.mean)
        self.var[...] = self.var[...].at[t].set(MOMENTUM * self.var[t] + (1 - MOMENTUM) * moments.variance)
        return state, spikes


def make_cell(kind: NeuronKind, num_steps: int, num_channels: int, quantize: SpikeQuantizer) -> NeuronCell:
    """Builds the cell of a neuron kind; LIF ignores `quantize`, as its spikes have one level.

    Raises:
      ValueError: an unknown kind.
    """
    cells: dict[str, Callable[[], NeuronCell]] = {
        "lif": lambda: LIFCell(),
        "hd-lif": lambda: HDLIFCell(num_steps, quantize),
        "parallel": lambda: ParallelHDLIFCell(num_steps, quantize),
        "mem-bn": lambda: MemBNHDLIFCell(num_steps, num_channels, quantize),
    }
    if kind not in cells:
        raise ValueError(f"neuron={kind!r} is unknown; choose one of {', '.join(cells)}")
    return cells[kind]()
