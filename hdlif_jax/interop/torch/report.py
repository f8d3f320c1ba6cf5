"""What became of the layers of a file, as a value that reads as text."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from hdlif_jax import show


class Match(NamedTuple):
    """A layer that was taken.

    Attributes:
      layer: path of ours.
      source: name of theirs.
      changes: what was done to its arrays, such as "transposed from OIHW to HWIO"; empty for nothing.
    """

    layer: str
    source: str
    changes: tuple[str, ...]


class Report(NamedTuple):
    """What a network took of a state_dict.

    Attributes:
      naming: by what layers were told, such as "in order".
      matched: what was taken.
      kept: why a layer of ours stays as the network was made, by its path.
      refused: why a layer of theirs, or of ours, does not fit, by its name.
    """

    naming: str
    matched: tuple[Match, ...]
    kept: dict[str, str]
    refused: dict[str, str]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return show.line("Report", self._facts())

    def _repr_html_(self) -> str:
        rows = [(match.layer, match.source, "; ".join(match.changes)) for match in self.matched]
        rows += [(path, "kept", why) for path, why in self.kept.items()]
        rows += [(name, "refused", why) for name, why in self.refused.items()]
        return show.rows("Report", ("layer", "from", "what"), rows, f"told {self.naming}")

    def _facts(self) -> dict[str, Any]:
        return {
            "told": self.naming,
            "matched": len(self.matched),
            "kept": len(self.kept),
            "refused": len(self.refused),
        }

    def _lines(self) -> Iterator[str]:
        yield f"{len(self.matched)} layers matched, told {self.naming}"
        wide = max((len(match.layer) for match in self.matched), default=0)
        for match in self.matched:
            yield f"  {match.layer:{wide}} ← {match.source}" + "".join(f"; {change}" for change in match.changes)
        for path, why in self.kept.items():
            yield f"  {path} is kept: {why}"
        for name, why in self.refused.items():
            yield f"  {name} is refused: {why}"
