"""What a user types to run a command."""

import shlex
import sys

HDLIF = "hdlif"
PACKAGE = "python -m hdlif_jax"


def program(name: str) -> str:
    """The command line of a command as this process was started; elsewhere, as in a notebook, that of `hdlif`.

    Args:
      name: name of the command, such as "prepare_data", and words behind it.
    """
    module = _module() or ""
    for package in ("experiments", "hdlif_jax.commands"):
        if module.startswith(f"{package}."):
            return f"python -m {package}.{name}"
    command, space, words = name.partition(" ")
    return f"{called_as()} {command.replace('_', '-')}{space}{words}"


def typed() -> list[str]:
    """The words that start this process again, such as ["hdlif", "train", "--epochs", "3"]."""
    module = _module()
    if sys.argv[0].startswith((f"{HDLIF} ", f"{PACKAGE} ")):  # what `run_as` put there
        started = shlex.split(sys.argv[0])
    else:
        started = ["python", sys.argv[0]] if module is None else ["python", "-m", module]
    return [*started, *sys.argv[1:]]


def called_as() -> str:
    """How the process was started that lists commands and runs one of them."""
    return PACKAGE if _module() == "hdlif_jax" else HDLIF


def run_as(command: str, words: list[str]) -> None:
    """Makes a command of `called_as` the program of this process, as if it had been started by itself.

    Args:
      command: its name as it was typed.
      words: those behind it.
    """
    sys.argv[:] = [f"{called_as()} {command}", *words]


def _module() -> str | None:
    """The module that `python -m` was given; None for a file."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    return None if started is None else str(started.name).removesuffix(".__main__")
