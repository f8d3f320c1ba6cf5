"""The file format of artifacts, written and read strictly: needs jax and numpy, and none of the networks' code."""

from hdlif_jax.deploy.format.artifact import Artifact, read, size_on_disk, write
from hdlif_jax.deploy.format.errors import ArtifactError
from hdlif_jax.deploy.format.manifest import Arithmetic, InputKind, Manifest

__all__ = ["Arithmetic", "Artifact", "ArtifactError", "InputKind", "Manifest", "read", "size_on_disk", "write"]
