"""One named configuration per experiment, one file a paper; `python -m hdlif_jax.commands.train NAME` runs it."""

from hdlif_jax.commands.presets import (
    asgl,
    dct_snn,
    dspike,
    glif,
    hd_lif,
    ltl,
    ndot,
    ottt,
    sltt,
    small,
    tdbn,
    tet,
)
from hdlif_jax.commands.presets.preset import PaperFigures, Preset

_FILES = (small, hd_lif, tdbn, dspike, tet, glif, sltt, ottt, ndot, asgl, ltl, dct_snn)  # ours, then as they appeared
PRESETS: dict[str, Preset] = {name: preset for file in _FILES for name, preset in file.PRESETS.items()}

__all__ = ["PRESETS", "PaperFigures", "Preset"]
