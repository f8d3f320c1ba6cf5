"""One result on any number of devices, and programs for backends that are not here."""

import re

import jax
import numpy as np
import pytest

from hdlif_jax import learning, nn
from hdlif_jax.training import Augmentation
from hdlif_jax.training.sharding import batch_sharding, make_mesh, place, replicated
from tests.training.trainers import make_trainer

AUGMENTATION = Augmentation(crop_padding=1, flip=True, mixup=0.5)


def trainer_of(**changes):
    options = {"epochs": 4, "widths": (4, 6), "num_steps": 3, "augmentation": AUGMENTATION, "learning_rate": 0.01}
    return make_trainer(**options | changes)


def train(devices, steps=20, **changes):
    trainer = trainer_of(mesh=make_mesh(jax.devices()[:devices]), **changes)
    runner, state = trainer.runner(), trainer.initial_state
    for step in range(steps):
        state = runner.run(state, step, steps).state
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)} == {devices}
    return state


def local_rule():
    teacher = trainer_of(neuron=nn.relu(), second_neuron=nn.relu(), num_steps=1).model
    return learning.layer_local(learning.Teacher(teacher, nn.variables_of(teacher)), online=True)


@pytest.mark.parametrize(
    ("neuron", "rule", "steps"),
    [
        (nn.hd_lif(bits=None), learning.random_step(), 20),
        (nn.mem_bn(bits=None), learning.random_step(), 20),
        pytest.param(nn.hd_lif(bits=None), learning.traced(), 6, marks=pytest.mark.slow),
        pytest.param(nn.hd_lif(bits=None), local_rule(), 6, marks=pytest.mark.slow),
    ],
    ids=["hd_lif", "mem_bn", "traced", "layer_local"],
)
def test_four_devices_give_the_parameters_of_one(neuron, rule, steps):
    """Augmentation, mixing, the drawn time-step and the statistics of BatchNorm are those of the whole batch.

    Spikes are unquantised, because sums in another order can move one over the edge of a level.
    """
    one, four = (
        train(devices, steps, neuron=neuron, second_neuron=nn.parallel(bits=None), rule=rule) for devices in (1, 4)
    )
    for (path, expected), got in zip(
        jax.tree.leaves_with_path(one.variables), jax.tree.leaves(four.variables), strict=True
    ):
        expected, got = np.asarray(expected), np.asarray(got)
        # Some have hardly left zero, where the rounding of the sums that moved them is all there is.
        size = max(np.linalg.norm(expected), 1e-3 * np.sqrt(expected.size))
        assert np.linalg.norm(got - expected) <= 2e-5 * size, jax.tree_util.keystr(path)


def test_a_batch_is_spread_over_the_devices():
    mesh = make_mesh()
    rows = place(np.arange(24).reshape(8, 3), batch_sharding(mesh))
    assert [shard.data.shape for shard in rows.addressable_shards] == [(2, 3)] * 4
    whole = place(np.arange(3), replicated(mesh))
    assert [shard.data.shape for shard in whole.addressable_shards] == [(3,)] * 4


def test_each_device_computes_its_rows_alone():
    """The compiled step has a quarter of the batch in its convolutions: nothing is computed twice."""
    trainer = trainer_of()
    text = trainer.train_step.lower(trainer.initial_state, trainer.batch(0)).compile().as_text()
    convolutions = [line for line in text.splitlines() if " convolution(" in line and "f32[2,5,5," in line]
    assert convolutions
    assert "f32[8,5,5," not in text.split("ENTRY")[-1]


def test_a_batch_that_the_devices_cannot_share():
    with pytest.raises(ValueError, match="batch_size=6 cannot be shared evenly by 4 devices; choose a multiple of 4"):
        trainer_of(batch_size=6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_training_step_lowers_for_every_backend(dtype):
    """TPUs and GPUs are not here, but what they would compile is."""
    trainer = trainer_of(dtype=dtype)
    exported = jax.export.export(trainer.train_step, platforms=["cpu", "cuda", "tpu"])(
        trainer.initial_state, trainer.batch(0)
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert exported.nr_devices == 4
    # Nothing but standard operations: no kernel that only one kind of device has.
    assert set(re.findall(r"custom_call @(\w+)", exported.mlir_module())) <= {"Sharding"}
