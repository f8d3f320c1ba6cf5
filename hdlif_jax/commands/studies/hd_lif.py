"""The tables of "Rethinking SNN Online Training and Deployment" (CVPR 2026) as studies."""

from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies.study import Fields, Study, Variant

# Width 16 and few epochs with the augmentation that such a budget can use: half an hour a run on two cores.
ON_TWO_CORES: Fields = {
    "epochs": 8,
    "batch_size": 128,
    "model.width": 16,
    "data.auto_augment": False,
    "data.cutout": 0,
    "data.mixup": 0.0,
    "data.cutmix": 0.0,
    "optimizer.learning_rate": 0.1,
    "optimizer.warmup_epochs": 1,
}
SCALES: dict[str, Fields] = {"paper": {}, "cpu": ON_TWO_CORES}
# Systems that each have a recipe of their own get the same one, and what comes first of theirs is as short.
SYSTEMS: dict[str, Fields] = {"paper": {}, "cpu": ON_TWO_CORES | {"recipe": "common", "first.epochs": 8}}

# 125 steps at once take more memory than machines have; in segments the gradient is the same.
IN_SEGMENTS: dict[str, Fields] = {"imagenet200-vgg13-dct-snn": {"learning.stbp_segment": 5}}


def _rows(table: str) -> dict[str, Variant]:
    """The presets of a table that the paper gives an accuracy for, by dataset, and of each its own rows first."""
    rows = [
        name
        for name, preset in PRESETS.items()
        if preset.paper is not None and preset.paper.accuracy is not None and preset.paper.source.startswith(table)
    ]
    datasets = list(dict.fromkeys(PRESETS[name].config.data.name for name in rows))
    rows.sort(key=lambda name: datasets.index(PRESETS[name].config.data.name))
    return {name: Variant(name, IN_SEGMENTS.get(name, {})) for name in rows}


TABLES: dict[str, Study] = {
    "table1": Study(
        "Table 1: accuracy and parameter memory of HD-LIF, the first of each dataset, and of the systems before it.",
        _rows("Table 1"), scales=SYSTEMS,
    ),
    "table2": Study(
        "Table 2, the ablation on CIFAR-100: LIF, HD-LIF, 4-bit spikes, parallel neurons.", _rows("Table 2"),
        scales=SCALES,
    ),
    "table3": Study("Table 3: SECA, channel attention.", _rows("Table 3"), scales=SCALES),
}  # fmt: skip
