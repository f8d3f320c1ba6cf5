"""HD-LIF spiking networks in JAX: online training and deployment.

After "Rethinking SNN Online Training and Deployment: Gradient-Coherent Learning via Hybrid-Driven LIF Model"
(CVPR 2026, arXiv 2410.07547).
"""

__version__ = "0.1.0"
