"""Standard streams that take whatever a command prints, whatever the terminal can show and whoever reads it."""

import codecs
import contextlib
import os
import sys

SPELLED = "hdlif_jax.spelled"  # name of the error handler
SIGNS = {
    "×": "x", "·": "*", "±": "+-", "²": "^2", "½": "1/2", "→": "->", "…": "...", "–": "-", "—": "-", "≠": "!=",
    "≥": ">=", "≤": "<=", "‖": "||", "†": "+", "‡": "++", "∞": "inf", "α": "alpha", "β": "beta", "ε": "eps",
    "λ": "lambda", "₁": "1",
}  # fmt: skip


def spell(error: UnicodeError) -> tuple[str, int]:
    """Writes out the signs that an encoding does not have; a handler of `codecs.register_error`.

    Raises:
      UnicodeError: it is not one of encoding.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(SIGNS.get(sign, ascii(sign)[1:-1]) for sign in signs), error.end


def prepare_streams() -> None:
    """Makes standard output and error take every text, also where they are closed."""
    codecs.register_error(SPELLED, spell)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the process; a file would get its number and what is printed
            setattr(sys, name, open(os.open(os.devnull, os.O_WRONLY), "w"))  # noqa: SIM115 - open until the end
        elif hasattr(stream, "reconfigure"):  # what tests put in its place may have none
            stream.reconfigure(errors=SPELLED)


def discard(*names: str) -> None:
    """Sends what is still to be written to streams nowhere; else the interpreter complains of it at its end."""
    for name in names:
        with contextlib.suppress(OSError, ValueError):  # it has no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), getattr(sys, name).fileno())
