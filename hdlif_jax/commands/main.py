"""The command `hdlif`: lists the commands, and runs one of them."""

import importlib
import pathlib
import sys

from hdlif_jax import __version__
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.program import called_as, program, run_as

FOLDER = pathlib.Path(__file__).parent
MARK = "\n@command\ndef main("  # of a module that is a command
FIRST = ("doctor", "prepare_data", "train", "evaluate", "study")  # as one needs them; all others by their names


def commands() -> dict[str, str]:
    """What each command does, by its name: the beginning of its module's docstring, read without importing it.

    A command is a module of this folder with a `main` that `entry.command` wraps, and a docstring that begins with
    "What it does: `hdlif NAME ...`".
    """
    texts = {file.stem: file.read_text("utf-8") for file in FOLDER.glob("*.py") if file != pathlib.Path(__file__)}
    names = sorted((name for name, text in texts.items() if MARK in text), key=_place)
    return {name: texts[name].split('"""', 2)[1].partition(": `")[0] for name in names}


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


def overview() -> str:
    """What `hdlif` alone prints, in lines of at most 80 columns."""
    found = {name.replace("_", "-"): what for name, what in commands().items()}
    width = max(map(len, found))
    start = called_as()
    lines = [f"usage: {start} COMMAND [WORDS ...]", f"       {start} --version", ""]
    lines += [f"  {name:{width}}  {what}" for name, what in found.items()]
    lines += ["", f"{start} COMMAND --help explains one.", f"{program('train')} alone trains on digits, in a minute."]
    return "\n".join(lines)


@command
def main() -> None:
    """Entry point."""
    word, *words = sys.argv[1:] or ["--help"]
    if word in ("-h", "--help"):
        print(overview())
    elif word == "--version":
        print(f"hdlif_jax {__version__}")
    else:
        known = commands()
        name = word.replace("-", "_")
        if name not in known:
            near = did_you_mean(word, [name.replace("_", "-") for name in known])
            raise CommandError(f"unknown command {word!r}; {near}`{called_as()}` lists the commands")
        run_as(word, words)
        importlib.import_module(f"hdlif_jax.commands.{name}").main()
