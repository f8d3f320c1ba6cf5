"""One named configuration per experiment, one file a paper; `hdlif train NAME` runs it."""

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

_SMALL = {name: preset for name, preset in small.PRESETS.items() if preset.config.data.name != "digits"}
_DIGITS = {name: preset for name, preset in PRESETS.items() if preset.config.data.name == "digits"}
GROUPS: dict[str, dict[str, Preset]] = {  # by what they are for
    "digits, where nothing is to be downloaded": _DIGITS,
    "small networks": _SMALL,
    "rows of the paper's tables, and their LIF baselines": hd_lif.PRESETS,
    "earlier systems": {
        name: preset
        for name, preset in PRESETS.items()
        if not any(name in group for group in (_DIGITS, _SMALL, hd_lif.PRESETS))
    },
}

__all__ = ["GROUPS", "PRESETS", "PaperFigures", "Preset"]
