"""Deployment: fold, pack, export; and, with jax and numpy alone, load and run.

Importing this package needs no Flax. What makes artifacts is in `fold`, `export` and `nir_export`.
"""

from hdlif_jax.deploy.errors import ArtifactError
from hdlif_jax.deploy.runtime import Deployed, StreamState, load

__all__ = ["ArtifactError", "Deployed", "StreamState", "load"]
