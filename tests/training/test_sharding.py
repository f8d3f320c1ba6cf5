"""One result on any number of devices, and programs for backends that are not here."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from hdlif_jax.training import Trainer
from hdlif_jax.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.training.sharding import by_rows, make_mesh, place, replicated
from tests.training.test_loop import make_dataset

CONFIG = TrainConfig(
    epochs=4,
    batch_size=8,
    model=ModelConfig(widths=(4, 6), num_steps=3),
    data=DataConfig(validation_fraction=0.2, crop_padding=1, flip=True, mixup=0.5),
    optimizer=OptimizerConfig(learning_rate=0.01, warmup_epochs=0),
)


def changed(**fields):
    return dataclasses.replace(CONFIG, **fields)


def train(config, devices, steps=20):
    trainer = Trainer(config, make_dataset(), make_mesh(jax.devices()[:devices]))
    feed, state = trainer.feed(), trainer.initial_state
    for step in range(steps):
        state = feed.advance(state, step, steps).state
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)} == {devices}
    return state


@pytest.mark.parametrize("neuron", ["hd-lif", "mem-bn"])
def test_four_devices_give_the_parameters_of_one(neuron):
    """Augmentation, mixing, the drawn time-step and the statistics of BatchNorm are those of the whole batch.

    Spikes are unquantised, because sums in another order can move one over the edge of a level.
    """
    config = changed(model=ModelConfig(neuron=neuron, widths=(4, 6), num_steps=3, spike_bits=None))
    one, four = train(config, 1), train(config, 4)
    for (path, expected), got in zip(
        jax.tree.leaves_with_path(one.variables), jax.tree.leaves(four.variables), strict=True
    ):
        expected, got = np.asarray(expected), np.asarray(got)
        assert np.linalg.norm(got - expected) <= 1e-5 * np.linalg.norm(expected), jax.tree_util.keystr(path)


def test_a_batch_is_spread_over_the_devices():
    mesh = make_mesh()
    rows = place(np.arange(24).reshape(8, 3), by_rows(mesh))
    assert [shard.data.shape for shard in rows.addressable_shards] == [(2, 3)] * 4
    whole = place(np.arange(3), replicated(mesh))
    assert [shard.data.shape for shard in whole.addressable_shards] == [(3,)] * 4


def test_each_device_computes_its_rows_alone():
    """The compiled step has a quarter of the batch in its convolutions: nothing is computed twice."""
    trainer = Trainer(CONFIG, make_dataset())
    text = trainer.train_step.lower(trainer.initial_state, *trainer.batch(0)).compile().as_text()
    convolutions = [line for line in text.splitlines() if " convolution(" in line and "f32[2,5,5," in line]
    assert convolutions
    assert "f32[8,5,5," not in text.split("ENTRY")[-1]


def test_a_batch_that_the_devices_cannot_share():
    with pytest.raises(ValueError, match="batch_size=6 cannot be shared evenly by 4 devices; choose a multiple of 4"):
        Trainer(changed(batch_size=6), make_dataset())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_training_step_lowers_for_every_backend(precision):
    """TPUs and GPUs are not here, but what they would compile is."""
    trainer = Trainer(changed(precision=precision), make_dataset())
    exported = jax.export.export(trainer.train_step, platforms=["cpu", "cuda", "tpu"])(
        trainer.initial_state, *trainer.batch(0)
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert exported.nr_devices == 4
    # Nothing but standard operations: no kernel that only one kind of device has.
    assert set(re.findall(r"custom_call @(\w+)", exported.mlir_module())) <= {"Sharding"}
