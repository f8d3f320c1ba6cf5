"""What a user types to run a command."""

import sys


def program(name: str) -> str:
    """The command line of a command, from a clone or installed, as this process was started.

    Args:
      name: name of the command, such as "train".
    """
    in_clone = (_module() or "").startswith("experiments.")
    return f"python -m {'experiments' if in_clone else 'hdlif_jax.commands'}.{name}"


def typed() -> list[str]:
    """The words that start this process again, such as ["python", "-m", "experiments.train", "--epochs", "3"]."""
    module = _module()
    started = ["python", sys.argv[0]] if module is None else ["python", "-m", module]
    return [*started, *sys.argv[1:]]


def _module() -> str | None:
    """The module that `python -m` was given; None for a file."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    return None if started is None else str(started.name).removesuffix(".__main__")
