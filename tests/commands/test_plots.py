"""Pictures of a run: its records as arrays."""

import numpy as np

from hdlif_jax.commands.support import plots

EPOCHS = [
    {
        "epoch": epoch, "train_loss": 1.0 / epoch, "train_accuracy": 0.5, "validation_accuracy_per_step": [0.5, 0.6],
        "firing_rates": {f"blocks.{index}.neuron1": 0.1 * (index + 1) for index in range(3)},
    }
    for epoch in (1, 2)
]  # fmt: skip


def test_records_become_arrays():
    np.testing.assert_array_equal(plots.column(EPOCHS, "train_loss"), [1.0, 0.5])
    found = plots.accuracies([EPOCHS[0], EPOCHS[1] | {"validation_accuracy_per_step": None}])
    np.testing.assert_array_equal(found["validation"], [0.6, np.nan])
    assert list(plots.accuracies([record | {"validation_accuracy_per_step": None} for record in EPOCHS])) == [
        "training"
    ]
    assert {layer: values.tolist() for layer, values in plots.firing_rates(EPOCHS).items()} == {
        f"blocks.{index}.neuron1": [0.1 * (index + 1)] * 2 for index in range(3)
    }
    coherence = {"epoch": 0.5, "cosine": 0.9, "cosine_per_layer": {"stem": 0.8, "blocks.0.conv1": 0.1, "head": 1.0}}
    assert plots.cosines([coherence]) == {"stem": [0.8], "head": [1.0], "network": [0.9]}
