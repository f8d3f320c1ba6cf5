"""Packages that some datasets need and the library does not: the extra `data`."""

import importlib
from typing import Any

from hdlif_jax.data.errors import DataError


def needed(module: str) -> Any:
    """A module of a package of the extra.

    Args:
      module: its full name.

    Raises:
      DataError: the package is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DataError(
            f"this needs the package {package}, which cannot be imported ({error}): "
            "python -m pip install 'hdlif_jax[data]'"
        ) from error
