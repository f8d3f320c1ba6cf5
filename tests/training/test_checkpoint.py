import resource
import shutil
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdlif_jax.training import CheckpointError, Checkpoints, DamagedCheckpoint, TrainState
from hdlif_jax.training.sharding import make_mesh, place, replicated
from tests.conftest import perturbed


def make_state(step=0, width=3):
    params = {"blocks": {index: {"kernel": jnp.full((2, width), index)} for index in range(12)}}
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    return TrainState(jnp.int32(step), perturbed(params), {"mean": jnp.ones(3)}, optax.sgd(0.1, 0.9).init(params))


def save(checkpoints, state, accuracy=None):
    path = checkpoints.save(state, accuracy)
    checkpoints.wait()
    return path


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
        save(checkpoints, make_state(step))
    assert checkpoints.steps() == [3, 4]
    assert int(checkpoints.load(make_state()).step) == 4
    assert int(checkpoints.load(make_state(), 3).step) == 3
    assert len(list((checkpoints.directory.parent / "checksums").iterdir())) == 2


def test_what_a_system_left_is_no_checkpoint(checkpoints):
    save(checkpoints, make_state(1))
    checksums = checkpoints.directory.parent / "checksums"
    for junk in (
        checkpoints.directory / ".DS_Store",
        checkpoints.directory / "1" / ".DS_Store",
        checksums / "._1.json",
    ):
        junk.write_bytes(b"junk")
    for step in (2, 3):
        save(checkpoints, make_state(step))
    assert checkpoints.steps() == [2, 3]
    assert int(checkpoints.load(make_state(), 2).step) == 2
    assert sorted(file.name for file in checksums.iterdir()) == ["._1.json", "2.json", "3.json"]
    reader = Checkpoints(checkpoints.directory, reads_only=True)
    assert reader.latest() == 3
    reader.close()


def test_saving_a_step_twice_keeps_the_first(checkpoints):
    assert save(checkpoints, make_state(1)) == save(checkpoints, make_state(1))


def test_another_model_is_named(checkpoints):
    save(checkpoints, make_state(1, width=3))
    message = r"belongs to another model: .*kernel is float32\[2, 3\], the model needs float32\[2, 4\]"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(make_state(width=4))


def test_nothing_there(checkpoints):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.load(make_state())
    save(checkpoints, make_state(2))
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


DAMAGES = [(cut, "cut short"), (flip, "changed"), (lambda file: file.unlink(), "missing")]


@pytest.mark.parametrize(("damage", "word"), DAMAGES)
def test_damage_is_named(damage, word, checkpoints):
    save(checkpoints, make_state(1))
    damage(largest_file(save(checkpoints, make_state(2))))
    with pytest.raises(DamagedCheckpoint, match=f"checkpoints/2 is damaged: .* {word}"):
        checkpoints.load(make_state())


@pytest.mark.parametrize(("damage", "word"), DAMAGES)
def test_a_damaged_newest_is_skipped_and_can_be_written_again(damage, word, checkpoints):
    save(checkpoints, make_state(1))
    damage(largest_file(save(checkpoints, make_state(2))))
    state, problems = checkpoints.load_newest_intact(make_state())
    jax.tree.map(np.testing.assert_array_equal, state, make_state(1))
    (problem,) = problems
    assert word in problem
    assert problem.endswith("; going on from the checkpoint of step 1")
    assert (checkpoints.directory.parent / "damaged" / "2").is_dir()
    assert checkpoints.steps() == [1]
    save(checkpoints, make_state(2))
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(make_state()), make_state(2))


@pytest.mark.parametrize("text", ["", "{", '{"validation_accuracy": "x"}', "[]"])
def test_an_accuracy_that_is_damaged_does_not_stop_a_run(text, tmp_path):
    """The storage layer reads them all when it opens the folder."""
    directory = tmp_path / "run" / "checkpoints"
    first = Checkpoints(directory)
    for step in (1, 2):
        save(first, make_state(step), accuracy=0.5)
    first.close()
    (directory / "2" / "metrics" / "metrics").write_text(text)
    with pytest.raises(DamagedCheckpoint, match="checkpoints/2 is damaged: metrics/metrics was changed or cut short"):
        Checkpoints(directory, reads_only=True)
    again = Checkpoints(directory)
    state, (problem,) = again.load_newest_intact(make_state())
    assert "2 is damaged: metrics/metrics is missing; going on from the checkpoint of step 1" in problem
    jax.tree.map(np.testing.assert_array_equal, state, make_state(1))
    assert again.best() == 1
    again.close()


def test_digests_that_are_no_digests_are_damage(checkpoints):
    save(checkpoints, make_state(1))
    (checkpoints.directory.parent / "checksums" / "1.json").write_text("[1]")
    with pytest.raises(DamagedCheckpoint, match="1 cannot be read"):
        checkpoints.load(make_state())


def test_with_nothing_whole_nothing_is_moved(checkpoints):
    for step in (1, 2):
        cut(largest_file(save(checkpoints, make_state(step))))
    with pytest.raises(CheckpointError, match=r"2 is damaged: .*1 is damaged: .*no checkpoint is whole"):
        checkpoints.load_newest_intact(make_state())
    assert checkpoints.steps() == [1, 2]
    save(checkpoints, make_state(3, width=9))
    with pytest.raises(CheckpointError, match="belongs to another model"):
        checkpoints.load_newest_intact(make_state())
    assert not (checkpoints.directory.parent / "damaged").exists()


def test_damage_without_recorded_checksums_is_still_noticed(checkpoints):
    path = save(checkpoints, make_state(2))
    shutil.rmtree(checkpoints.directory.parent / "checksums")
    shutil.rmtree(path / "state")
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        checkpoints.load(make_state())


def test_a_reader_leaves_alone_what_another_process_is_writing(checkpoints):
    save(checkpoints, make_state(1))
    partial = checkpoints.directory / "2.orbax-checkpoint-tmp"
    shutil.copytree(checkpoints.directory / "1", partial)
    reader = Checkpoints(checkpoints.directory, reads_only=True)
    assert int(reader.load(make_state()).step) == 1
    reader.close()
    assert partial.is_dir()
    writer = Checkpoints(checkpoints.directory)  # of a run that was killed and goes on
    save(writer, make_state(3))
    writer.close()
    assert not partial.exists()


def test_damaged_checksums_are_damage(checkpoints):
    save(checkpoints, make_state(1))
    save(checkpoints, make_state(2))
    checkpoints._digest_file(2).write_text("{")
    state, (problem,) = checkpoints.load_newest_intact(make_state())
    assert int(state.step) == 1
    assert "2 cannot be read" in problem


def test_the_best_is_kept_beside_the_newest(checkpoints):
    for step, accuracy in {1: 0.5, 2: 0.9, 3: 0.9, 4: 0.7, 5: None, 6: 0.8, 7: None}.items():
        save(checkpoints, make_state(step), accuracy)
    assert checkpoints.steps() == [3, 6, 7]
    assert checkpoints.best() == 3


def test_there_is_no_best_without_accuracies(checkpoints):
    save(checkpoints, make_state(1))
    with pytest.raises(CheckpointError, match="no checkpoint with a validation accuracy"):
        checkpoints.best()


def test_what_is_saved_is_the_state_of_that_moment(checkpoints):
    """Training gives the arrays away while they are still being written."""
    advance = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    state = make_state(5, width=1000)
    checkpoints.save(state)
    for _ in range(20):
        state = advance(state)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(make_state(width=1000)), make_state(5, width=1000))


def test_saving_returns_before_the_files_are_complete(checkpoints, monkeypatch):
    allowed = threading.Event()
    finish = checkpoints._finish
    monkeypatch.setattr(checkpoints, "_finish", lambda *arguments: (allowed.wait(60), finish(*arguments)))
    checkpoints.save(make_state(1))
    assert not checkpoints._digest_file(1).exists()
    allowed.set()
    checkpoints.wait()
    assert checkpoints._digest_file(1).exists()


@pytest.mark.parametrize(("written_on", "read_on"), [(4, 1), (1, 4), (2, 4)])
def test_another_number_of_devices(written_on, read_on, checkpoints):
    def on(devices, state):
        return place(state, replicated(make_mesh(jax.devices()[:devices])))

    save(checkpoints, on(written_on, make_state(3)))
    state = checkpoints.load(on(read_on, make_state()))
    jax.tree.map(np.testing.assert_array_equal, state, make_state(3))
    assert len(state.step.sharding.device_set) == read_on


def test_a_disk_that_takes_no_more_leaves_the_last_good_checkpoint(checkpoints):
    save(checkpoints, make_state(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(
            CheckpointError, match=r"step 2 could not be written .* last good checkpoint is that of step 1"
        ):
            save(checkpoints, make_state(2, width=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(make_state()), make_state(1))


def test_no_room_is_noticed_before_anything_is_written(checkpoints, monkeypatch):
    save(checkpoints, make_state(1))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 999, 999))
    with pytest.raises(CheckpointError, match=r"needs 1 MB and 0 MB are free.*last good checkpoint is that of step 1"):
        checkpoints.save(make_state(2))
    assert checkpoints.steps() == [1]
