"""What a network computes, put into numbers: costs here, gradient separability in its own package."""

from hdlif_jax.analysis import separability
from hdlif_jax.analysis.costs import (
    CompiledCost,
    Costs,
    NeuronCost,
    SynapseCost,
    compiled_cost,
    measure,
    neural_operations,
    parameter_megabytes,
)

__all__ = [
    "CompiledCost",
    "Costs",
    "NeuronCost",
    "SynapseCost",
    "compiled_cost",
    "measure",
    "neural_operations",
    "parameter_megabytes",
    "separability",
]
