"""What a word that is none of the known ones may have meant."""

import difflib
from collections.abc import Iterable

NEAREST = 3  # words that a message names


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known words, at most three, as a question and a space; empty where none is near."""
    known = list(known)
    begins = [name for name in known if word and name.startswith(word)]
    close = difflib.get_close_matches(word, known, n=NEAREST, cutoff=0.6)
    nearest = list(dict.fromkeys([*begins, *close]))[:NEAREST]
    return f"did you mean {', '.join(nearest)}? " if nearest else ""
