"""The rules that fold the library's modules, registered by importing this package."""

from hdlif_jax.deploy.rules import layers, neurons

__all__ = ["layers", "neurons"]
