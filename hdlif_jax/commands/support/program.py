"""What a user types to run a command."""

import sys


def program(name: str) -> str:
    """The command line of a command, from a clone or installed, as this process was started.

    Args:
      name: name of the command, such as "train".
    """
    started = getattr(sys.modules["__main__"], "__spec__", None)
    in_clone = started is not None and started.name.startswith("experiments.")
    return f"python -m {'experiments' if in_clone else 'hdlif_jax.commands'}.{name}"
