"""Everything that loops over time: inference, online learning, and STBP as the reference."""

from hdlif_jax.rollout.inference import accuracy_per_step, firing_rates, rollout, rollout_spikes
from hdlif_jax.rollout.online import Gradient, accumulate, every_step, gradient_at_steps, random_k, random_step
from hdlif_jax.rollout.stbp import stbp

__all__ = [
    "Gradient",
    "accumulate",
    "accuracy_per_step",
    "every_step",
    "firing_rates",
    "gradient_at_steps",
    "random_k",
    "random_step",
    "rollout",
    "rollout_spikes",
    "stbp",
]
