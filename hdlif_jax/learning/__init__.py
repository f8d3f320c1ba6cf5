"""Learning rules as values: which time-steps teach, and how far back their gradient goes."""

from hdlif_jax.learning.base import Batch, Gradient, GradientRule, Learned, Learner, Loss, Rule, Update
from hdlif_jax.learning.local import Activations, Teacher, layer_local, rates_of
from hdlif_jax.learning.online import accumulate, gradient_at_steps, random_k, random_step
from hdlif_jax.learning.stbp import stbp
from hdlif_jax.learning.traced import traced, with_traces
from hdlif_jax.learning.traces import Trace, decay_trace, ratio_trace
from hdlif_jax.learning.updates import every_step

__all__ = [
    "Activations",
    "Batch",
    "Gradient",
    "GradientRule",
    "Learned",
    "Learner",
    "Loss",
    "Rule",
    "Teacher",
    "Trace",
    "Update",
    "accumulate",
    "decay_trace",
    "every_step",
    "gradient_at_steps",
    "layer_local",
    "random_k",
    "random_step",
    "rates_of",
    "ratio_trace",
    "stbp",
    "traced",
    "with_traces",
]
