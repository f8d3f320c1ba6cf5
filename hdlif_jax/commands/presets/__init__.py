"""One named configuration per experiment, one file a paper; `python -m hdlif_jax.commands.train NAME` runs it."""

from hdlif_jax.commands.presets import hd_lif, small
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

PRESETS: dict[str, Preset] = small.PRESETS | hd_lif.PRESETS

__all__ = ["PRESETS", "PaperFigures", "Preset"]
