"""Deployment: fold, export, prove; and, with jax and numpy alone, load and run.

What makes artifacts needs Flax and is imported when it is first asked for; running them does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hdlif_jax.deploy import anytime
from hdlif_jax.deploy.format import Arithmetic, Artifact, ArtifactError, InputKind, read, size_on_disk, write
from hdlif_jax.deploy.runtime import Deployed, StreamState, load

if TYPE_CHECKING:
    from hdlif_jax.deploy import costs, execute, fold, verify
    from hdlif_jax.deploy.deployment import deploy
    from hdlif_jax.deploy.export import make_artifact, normalization
    from hdlif_jax.deploy.fold import Folded, rule

__all__ = [
    "Arithmetic",
    "Artifact",
    "ArtifactError",
    "Deployed",
    "Folded",
    "InputKind",
    "StreamState",
    "anytime",
    "costs",
    "deploy",
    "execute",
    "fold",
    "load",
    "make_artifact",
    "normalization",
    "read",
    "rule",
    "size_on_disk",
    "verify",
    "write",
]

_MODULES = ("costs", "execute", "fold", "verify")
_MODULE_OF = {
    "Folded": "fold",
    "deploy": "deployment",
    "make_artifact": "export",
    "normalization": "export",
    "rule": "fold",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
