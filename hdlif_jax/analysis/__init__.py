"""What a network computes, put into numbers: costs here, gradient separability in its own package."""

from hdlif_jax.analysis import separability
from hdlif_jax.analysis.costs import (
    CompiledCost,
    Costs,
    Memory,
    NeuronCost,
    SynapseCost,
    compiled_cost,
    measure,
    memory,
    neural_operations,
    parameter_megabytes,
)

__all__ = [
    "CompiledCost",
    "Costs",
    "Memory",
    "NeuronCost",
    "SynapseCost",
    "compiled_cost",
    "measure",
    "memory",
    "neural_operations",
    "parameter_megabytes",
    "separability",
]
