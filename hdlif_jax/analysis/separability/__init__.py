"""How far online gradients are from the true ones, and why: neuron by neuron, and for whole networks."""

from hdlif_jax.analysis.separability.agreement import Agreement
from hdlif_jax.analysis.separability.alignment import Alignment, spatial_alignment
from hdlif_jax.analysis.separability.comparison import (
    Comparison,
    Estimator,
    GradientSums,
    RuleComparison,
    gradient_sums,
    make_comparison,
)
from hdlif_jax.analysis.separability.contributions import (
    Contributions,
    closed_form_contributions,
    contributions_of_firing,
    temporal_contributions,
)
from hdlif_jax.analysis.separability.dispersion import OnlineError, distinct_values, online_error, separability_index
from hdlif_jax.analysis.separability.gradients import NetworkGradients, online_gradients, stbp_gradients
from hdlif_jax.analysis.separability.inputs import StepFunction
from hdlif_jax.analysis.separability.theorem import TheoremDeviation, theorem_deviation

__all__ = [
    "Agreement",
    "Alignment",
    "Comparison",
    "Contributions",
    "Estimator",
    "GradientSums",
    "NetworkGradients",
    "OnlineError",
    "RuleComparison",
    "StepFunction",
    "TheoremDeviation",
    "closed_form_contributions",
    "contributions_of_firing",
    "distinct_values",
    "gradient_sums",
    "make_comparison",
    "online_error",
    "online_gradients",
    "separability_index",
    "spatial_alignment",
    "stbp_gradients",
    "temporal_contributions",
    "theorem_deviation",
]
