"""What a run begins with: the result of another, which is trained before it."""

import dataclasses
from typing import Literal

from hdlif_jax.checks import Count, check_fields
from hdlif_jax.commands.config.fields import require


@dataclasses.dataclass(frozen=True)
class FirstConfig:
    """A run whose result this one begins with: a run of its own in DIR/first, of the same data, seed and width."""

    preset: str | None = None
    """Preset that is trained first, or directory of a finished run, which is copied; None for nothing."""
    epochs: Count | None = None
    """Epochs of that preset; None is its own."""
    num_steps: Count | None = None
    """Time-steps of that preset; None is its own."""
    use: Literal["weights", "teacher"] = "weights"
    """weights: the layers that fit start with its weights. teacher: its activations are what the layers learn from, by
    a layer-local rule."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        require(
            self.preset is not None or (self.epochs, self.num_steps, self.use) == (None, None, "weights"),
            "first.epochs, first.num_steps and first.use are of the run that comes first; name it with first.preset",
        )
