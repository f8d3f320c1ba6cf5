"""NIR, the Neuromorphic Intermediate Representation (Pedersen et al., Nature Communications 2024), both ways.

`to_nir` writes networks of LIF neurons as graphs, `from_nir` reads graphs that are one layer after the other; `read`
and `write` are for files. Needs the extra `nir`.
"""

try:
    import nir as _package
except ImportError as error:
    raise ImportError(
        f"hdlif_jax.interop.nir needs the package nir, which cannot be imported ({error}): "
        "python -m pip install 'hdlif_jax[nir]'"
    ) from error

from hdlif_jax.interop.nir.exports import to_nir
from hdlif_jax.interop.nir.files import read, write
from hdlif_jax.interop.nir.imports import Imported, from_nir
from hdlif_jax.interop.nir.report import Line, Report

del _package

__all__ = ["Imported", "Line", "Report", "from_nir", "read", "to_nir", "write"]
