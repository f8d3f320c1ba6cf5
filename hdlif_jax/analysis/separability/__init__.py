"""How far online gradients are from the true ones, and why: neuron by neuron, and for whole networks."""

from hdlif_jax.analysis.separability.agreement import Agreement
from hdlif_jax.analysis.separability.alignment import Alignment, spatial_alignment
from hdlif_jax.analysis.separability.cells import CellNeuron, cell_at, first_layer, neuron_of
from hdlif_jax.analysis.separability.coherence import coherence_observer
from hdlif_jax.analysis.separability.comparison import Comparison, Estimator, RuleComparison, make_comparison
from hdlif_jax.analysis.separability.contributions import (
    Contributions,
    closed_form_contributions,
    contributions_of_firing,
    temporal_contributions,
)
from hdlif_jax.analysis.separability.dispersion import OnlineError, distinct_values, online_error, separability_index
from hdlif_jax.analysis.separability.estimates import (
    GradientEstimate,
    RuleEstimates,
    make_rule_comparison,
    own_gradient,
    with_reset_gradient,
)
from hdlif_jax.analysis.separability.gradients import NetworkGradients, online_gradients, stbp_gradients
from hdlif_jax.analysis.separability.neurons import neuron_figures
from hdlif_jax.analysis.separability.study import ModelStudy, study
from hdlif_jax.analysis.separability.theorem import TheoremDeviation, theorem_deviation

__all__ = [
    "Agreement",
    "Alignment",
    "CellNeuron",
    "Comparison",
    "Contributions",
    "Estimator",
    "GradientEstimate",
    "ModelStudy",
    "NetworkGradients",
    "OnlineError",
    "RuleComparison",
    "RuleEstimates",
    "TheoremDeviation",
    "cell_at",
    "closed_form_contributions",
    "coherence_observer",
    "contributions_of_firing",
    "distinct_values",
    "first_layer",
    "make_comparison",
    "make_rule_comparison",
    "neuron_figures",
    "neuron_of",
    "online_error",
    "online_gradients",
    "own_gradient",
    "separability_index",
    "spatial_alignment",
    "stbp_gradients",
    "study",
    "temporal_contributions",
    "theorem_deviation",
    "with_reset_gradient",
]
