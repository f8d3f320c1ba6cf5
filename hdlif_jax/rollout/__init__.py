"""Running a network over time: inference, and the loop that learning is made of."""

from hdlif_jax.rollout.inference import accuracy_per_step, firing_rates, rollout, rollout_spikes
from hdlif_jax.rollout.record import observed, record
from hdlif_jax.rollout.steps import Hoisted, batch_size, forward_step, hoist, is_static, over_steps

__all__ = [
    "Hoisted",
    "accuracy_per_step",
    "batch_size",
    "firing_rates",
    "forward_step",
    "hoist",
    "is_static",
    "observed",
    "over_steps",
    "record",
    "rollout",
    "rollout_spikes",
]
