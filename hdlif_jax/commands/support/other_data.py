"""Other data than a preset's, for commands that train presets as they are."""

import dataclasses
from typing import Literal

from hdlif_jax.checks import Count, check_fields
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.registry import OWN_DATA


@dataclasses.dataclass(frozen=True)
class OtherData:
    """Own data in place of the presets' dataset, or where prepared datasets are."""

    name: Literal[tuple(OWN_DATA)] | None = None  # type: ignore[valid-type]
    """Kind of own data; None is the presets' dataset."""
    dir: str | None = None
    """The own data, or the directory of prepared datasets; None is the presets'."""
    image_size: Count | None = None
    """Height and width that own pictures of several sizes are brought to."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or kinds of own data without a place."""
        check_fields(self)
        if self.name is not None and self.dir is None:
            raise ValueError(f"data.name={self.name!r} is of own data; say where it is: data.dir")

    def in_place_of(self, config: TrainConfig) -> TrainConfig:
        """A preset's configuration with this data."""
        changes = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return dataclasses.replace(config, data=dataclasses.replace(config.data, **changes))
