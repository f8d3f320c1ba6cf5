"""HD-LIF spiking networks in JAX: online training and deployment.

After "Rethinking SNN Online Training and Deployment: Gradient-Coherent Learning via Hybrid-Driven LIF Model"
(CVPR 2026, arXiv 2410.07547). After `import hdlif_jax as hd`, the parts are there as `hd.nn`, `hd.learning`, …; each
is imported when it is first used.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdlif_jax import (
        analysis,
        data,
        deploy,
        encodings,
        interop,
        learning,
        losses,
        neurons,
        nn,
        quantize,
        rollout,
        training,
    )
    from hdlif_jax import viz as viz

__version__ = "0.2.0"

__all__ = [
    "analysis",
    "data",
    "deploy",
    "encodings",
    "interop",
    "learning",
    "losses",
    "neurons",
    "nn",
    "quantize",
    "rollout",
    "training",
]
NEEDS_EXTRA = ("viz",)  # beside them, where the packages of its extra are; not among what a star imports


def __getattr__(name: str) -> ModuleType:
    if name in __all__ or name in NEEDS_EXTRA:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *NEEDS_EXTRA])
