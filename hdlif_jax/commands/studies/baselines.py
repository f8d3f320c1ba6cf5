"""The systems of Table 1 side by side on the digits: the same network, data, seeds and, at will, the same recipe."""

from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies.study import Study, Variant


def systems_on(dataset: str) -> tuple[str, ...]:
    """Presets of systems on a dataset; those that only come first in another's training left out."""
    first = {preset.config.first.preset for preset in PRESETS.values()}
    return tuple(name for name in PRESETS if name.startswith(f"{dataset}-") and name not in first)


BASELINES = Study(
    "What the systems of Table 1 reach on the handwritten digits, with one small network, and what that takes.",
    {name: Variant(name) for name in sorted(systems_on("digits"), key="digits-hd-lif".__ne__)},  # the rest as they are
    scales={"own": {}, "common": {"recipe": "common"}},
)
