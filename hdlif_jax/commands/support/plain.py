"""Arguments of commands that need no extra: argparse, with its messages in one line."""

import argparse
from typing import NoReturn

from hdlif_jax.commands.support.errors import CommandError


class PlainParser(argparse.ArgumentParser):
    """A parser that leaves it to `entry.command` to say what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raises CommandError with the message."""
        raise CommandError(f"{message}; `{self.prog} --help` explains all")
