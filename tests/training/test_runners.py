import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.data import BatchReader, Dataset, Split
from hdlif_jax.training import Augmentation, Checkpoints, TrainState, augment, make_preprocess, runners
from hdlif_jax.training.sharding import make_mesh, place, replicated
from hdlif_jax.training.steps import StepMetrics
from tests.training.trainers import make_trainer

GENERATOR = np.random.default_rng(0)
SPLIT = Split(GENERATOR.integers(0, 256, (23, 6, 6, 1), dtype=np.uint8), GENERATOR.integers(0, 3, 23).astype(np.int32))


def recording_step(state, batch):
    """A train step that remembers what it saw, exactly."""
    inputs, labels = batch
    seen = jnp.sum(inputs.astype(jnp.int32)) + 7 * jnp.sum(labels * jnp.arange(1, len(labels) + 1))
    loss = seen.astype(jnp.float32)
    params = {"sum": state.params["sum"] * 3 + seen}
    return TrainState(state.step + 1, params, {}, ()), StepMetrics(loss, -loss)


def initial():
    return place(TrainState(jnp.int32(0), {"sum": jnp.int32(0)}, {}, ()), replicated(make_mesh()))


def run(runner, state, first, last):
    losses, step = [], first
    while step < last:
        ran = runner.run(state, step, last)
        state, step = ran.state, step + ran.num_steps
        losses += np.asarray(ran.metrics.loss)[: ran.num_steps].tolist()
    runner.close()
    return state, losses


def make_runners():
    return {
        "resident": runners.ResidentRunner(SPLIT, 4, 5, recording_step, make_mesh()),
        "resident, 8 steps a dispatch": runners.ResidentRunner(
            SPLIT, 4, 5, recording_step, make_mesh(), steps_per_dispatch=8
        ),
        "streaming": runners.StreamingRunner(SPLIT, 4, 5, recording_step, make_mesh(), workers=0),
    }


def expected_losses(first, last):
    reader = BatchReader(SPLIT, 4, 5)
    weights = np.arange(1, 5)
    return [float(b.inputs.astype(int).sum() + 7 * (b.labels * weights).sum()) for b in map(reader, range(first, last))]


@pytest.mark.parametrize("name", make_runners())
def test_every_runner_gives_the_same_batches_and_goes_on_anywhere(name):
    expected = expected_losses(0, 21)
    whole, losses = run(make_runners()[name], initial(), 0, 21)
    assert losses == expected
    part, losses = run(make_runners()[name], initial(), 0, 9)
    part = jax.tree.map(jnp.copy, part)
    resumed, rest = run(make_runners()[name], part, 9, 21)
    assert losses + rest == expected
    chex.assert_trees_all_equal(resumed, whole)


@pytest.mark.parametrize("name", make_runners())
def test_what_a_runner_runs_can_be_traced_before(name):
    state, runner = initial(), make_runners()[name]
    assert runner.traced(state).jaxpr.eqns
    _, losses = run(runner, state, 0, 1)  # nothing of the state was given away
    assert losses == expected_losses(0, 1)


def test_what_is_traced_before_has_the_types_that_come():
    """Else the trace is of no use, and a step of floats is looked at as if it read levels."""
    floats = SPLIT._replace(inputs=SPLIT.inputs.astype(np.float32))
    runner = runners.StreamingRunner(floats, 4, 5, recording_step, make_mesh(), workers=0)
    assert runner.traced(initial()).in_avals[-2].dtype == np.float32


def test_many_steps_per_dispatch_stop_at_the_last_step_without_a_new_compilation():
    runner = make_runners()["resident, 8 steps a dispatch"]
    state, step, counts = initial(), 0, []
    while step < 21:
        ran = runner.run(state, step, 21)
        state, step = ran.state, step + ran.num_steps
        counts.append(ran.num_steps)
    assert counts == [8, 8, 5]
    assert runner._run._cache_size() == 1


def test_the_streaming_runner_follows_a_jump():
    runner = make_runners()["streaming"]
    for step in (0, 1, 7, 2):
        loss = runner.run(initial(), step, 21).metrics.loss[0]
        assert float(loss) == expected_losses(step, step + 1)[0]
    runner.close()


AUGMENTATION = Augmentation(
    crop_padding=1,
    flip=True,
    roll=1,
    rotation=10.0,
    cutout=2,
    mixup=0.8,
    cutmix=1.0,
    auto_augment=True,
    resized_crop=True,
    erasing=0.5,
)


def test_a_batch_is_the_composition_of_its_augmentations(key):
    inputs = np.tile(SPLIT.inputs, (1, 1, 1, 3))
    preprocess = jax.jit(make_preprocess((0.5,) * 3, (0.25,) * 3, 3, augmentation=AUGMENTATION))
    batch, targets = preprocess(key, inputs, SPLIT.labels)
    move_key, color_key, cutout_key, mix_key = jax.random.split(key, 4)
    crop_key, flip_key, roll_key, rotation_key = jax.random.split(move_key, 4)

    @jax.jit
    def augmented(images):
        images = augment.random_resized_crop(jax.random.fold_in(move_key, 4), images)
        images = augment.random_crop(crop_key, images, 1)
        images = augment.random_horizontal_flip(flip_key, images)
        images = augment.random_roll(roll_key, images, 1)
        images = augment.random_rotation(rotation_key, images, 10.0)
        images = augment.auto_augment(color_key, images)
        return augment.random_erasing(jax.random.fold_in(key, 5), images, 0.5)

    @jax.jit
    def mixed(images):
        images, targets = augment.cutout(cutout_key, images, 2), jax.nn.one_hot(SPLIT.labels, 3)
        return augment.mix(mix_key, images, targets, mixup_alpha=0.8, cutmix_alpha=1.0)

    expected = mixed(np.float32((np.asarray(augmented(inputs)) / 255 - 0.5) / 0.25))
    np.testing.assert_allclose(batch, expected[0], atol=1e-5)
    np.testing.assert_allclose(targets, expected[1], atol=1e-6)


def test_without_augmentation_a_batch_is_normalised_and_keeps_its_labels(key):
    preprocess = make_preprocess((0.5,), (0.25,), 3)
    batch, targets = preprocess(key, SPLIT.inputs, SPLIT.labels)
    np.testing.assert_allclose(batch, (SPLIT.inputs / 255 - 0.5) / 0.25, atol=1e-6)
    np.testing.assert_array_equal(targets, SPLIT.labels)


def test_a_recording_moves_as_one_and_comes_out_time_major(key):
    frames = np.repeat(GENERATOR.integers(0, 9, (5, 1, 8, 8, 2), dtype=np.uint8), 3, axis=1)
    moved = Augmentation(crop_padding=2, flip=True, roll=2, rotation=20.0)
    batch, _ = make_preprocess((0.0,) * 2, (1 / 255,) * 2, 3, augmentation=moved)(key, frames, SPLIT.labels[:5])
    assert batch.shape == (3, 5, 8, 8, 2)
    for step in (1, 2):
        np.testing.assert_array_equal(batch[step], batch[0])
    assert np.any(np.asarray(batch[0]) != frames[:, 0])


def dataset():
    return Dataset("tiny", ("a", "b", "c"), SPLIT, SPLIT, (0.5,), (0.25,))


def trainer_of(augmentation=Augmentation(), workers=2, **planning):
    return make_trainer(
        dataset(),
        batch_size=4,
        widths=(2,),
        augmentation=augmentation,
        workers=workers,
        validation_fraction=0.1,
        planning=planning,
    )


def test_the_training_set_is_resident_by_size():
    assert trainer_of().plan.is_resident
    assert not trainer_of(resident_limit_gib=1e-7).plan.is_resident
    assert not trainer_of(resident=False).plan.is_resident
    assert trainer_of(resident=True, resident_limit_gib=0.0).plan.is_resident


def test_both_runners_train_the_same_network(tmp_path):
    states = []
    for resident in (True, False):
        trainer = trainer_of(Augmentation(mixup=0.5, flip=True), workers=0, resident=resident)
        checkpoints = Checkpoints(tmp_path / str(resident) / "checkpoints")
        states.append(trainer.fit(trainer.initial_state, checkpoints).state)
        checkpoints.close()
    chex.assert_trees_all_close(*states, rtol=1e-6, atol=1e-6)  # two programs, whose sums may round differently


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_padding": -1}, "crop_padding=-1 must not be negative"),
        ({"mixup": -0.1}, "mixup=-0.1 must not be negative"),
        ({"switch_probability": 1.5}, r"switch_probability=1.5 must be in \[0, 1\]"),
    ],
)
def test_bad_augmentations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**changes)
