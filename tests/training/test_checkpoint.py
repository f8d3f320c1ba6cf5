import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdlif_jax.training import CheckpointError, Checkpoints, TrainState
from tests.conftest import perturbed


def make_state(step=0, width=3):
    params = {"blocks": {index: {"kernel": jnp.full((2, width), index)} for index in range(12)}}
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    return TrainState(jnp.int32(step), perturbed(params), {"mean": jnp.ones(3)}, optax.sgd(0.1, 0.9).init(params))


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    yield checkpoints
    checkpoints.close()


def test_round_trip_is_exact(checkpoints):
    state = make_state(5)
    checkpoints.save(state)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(make_state()), state)


def test_keeps_the_newest(checkpoints):
    for step in (1, 2, 3, 4):
        checkpoints.save(make_state(step))
    assert checkpoints.steps() == [3, 4]
    assert int(checkpoints.load(make_state()).step) == 4
    assert int(checkpoints.load(make_state(), 3).step) == 3
    assert len(list((checkpoints.directory.parent / "checksums").iterdir())) == 2


def test_saving_a_step_twice_keeps_the_first(checkpoints):
    assert checkpoints.save(make_state(1)) == checkpoints.save(make_state(1))


def test_another_model_is_named(checkpoints):
    checkpoints.save(make_state(1, width=3))
    message = r"belongs to another model: .*kernel is float32\[2, 3\], the model needs float32\[2, 4\]"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(make_state(width=4))


def test_nothing_there(checkpoints):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.load(make_state())
    checkpoints.save(make_state(2))
    with pytest.raises(CheckpointError, match=r"does not exist; the run has checkpoints of steps \[2\]"):
        checkpoints.load(make_state(), 7)


def largest_file(path):
    return max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def cut(file):
    file.write_bytes(file.read_bytes()[:-20])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "word"), [(cut, "cut short"), (flip, "changed"), (lambda file: file.unlink(), "missing")]
)
@pytest.mark.parametrize("older", [True, False])
def test_damage_is_named_with_a_way_out(damage, word, older, checkpoints):
    if older:
        checkpoints.save(make_state(1))
    damage(largest_file(checkpoints.save(make_state(2))))
    advice = "fall back to the checkpoint of step 1" if older else "no older checkpoint"
    with pytest.raises(CheckpointError, match=f"is damaged: .* {word}.*{advice}"):
        checkpoints.load(make_state())


def test_damage_without_recorded_checksums_is_still_noticed(checkpoints):
    path = checkpoints.save(make_state(2))
    shutil.rmtree(checkpoints.directory.parent / "checksums")
    shutil.rmtree(path / "state")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.load(make_state())
