import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.data import BatchReader, Dataset, Split
from hdlif_jax.training import Checkpoints, DataConfig, ModelConfig, TrainConfig, Trainer, TrainState, augment, feeds
from hdlif_jax.training.sharding import make_mesh
from hdlif_jax.training.steps import StepMetrics

GENERATOR = np.random.default_rng(0)
SPLIT = Split(GENERATOR.integers(0, 256, (23, 6, 6, 1), dtype=np.uint8), GENERATOR.integers(0, 3, 23).astype(np.int32))


def recording_step(state, inputs, labels):
    """A train step that remembers what it saw, exactly."""
    seen = jnp.sum(inputs.astype(jnp.int32)) + 7 * jnp.sum(labels * jnp.arange(1, len(labels) + 1))
    loss = seen.astype(jnp.float32)
    params = {"sum": state.params["sum"] * 3 + seen}
    return TrainState(state.step + 1, params, {}, ()), StepMetrics(loss, -loss)


def initial():
    return TrainState(jnp.int32(0), {"sum": jnp.int32(0)}, {}, ())


def run(feed, state, first, last):
    losses, step = [], first
    while step < last:
        advance = feed.advance(state, step, last)
        state, step = advance.state, step + advance.num_steps
        losses += np.asarray(advance.metrics.loss)[: advance.num_steps].tolist()
    feed.close()
    return state, losses


def make_feeds():
    return {
        "resident": feeds.ResidentFeed(SPLIT, 4, 5, recording_step, make_mesh()),
        "resident, 8 steps a dispatch": feeds.ResidentFeed(
            SPLIT, 4, 5, recording_step, make_mesh(), steps_per_dispatch=8
        ),
        "streaming": feeds.StreamingFeed(SPLIT, 4, 5, recording_step, make_mesh(), workers=0),
    }


def expected_losses(first, last):
    reader = BatchReader(SPLIT, 4, 5)
    weights = np.arange(1, 5)
    return [float(b.inputs.astype(int).sum() + 7 * (b.labels * weights).sum()) for b in map(reader, range(first, last))]


@pytest.mark.parametrize("name", make_feeds())
def test_every_feed_gives_the_same_batches_and_goes_on_anywhere(name):
    expected = expected_losses(0, 21)
    whole, losses = run(make_feeds()[name], initial(), 0, 21)
    assert losses == expected
    part, losses = run(make_feeds()[name], initial(), 0, 9)
    part = jax.tree.map(jnp.copy, part)
    resumed, rest = run(make_feeds()[name], part, 9, 21)
    assert losses + rest == expected
    chex.assert_trees_all_equal(resumed, whole)


def test_many_steps_per_dispatch_stop_at_the_last_step_without_a_new_compilation():
    feed = make_feeds()["resident, 8 steps a dispatch"]
    state, step, counts = initial(), 0, []
    while step < 21:
        advance = feed.advance(state, step, 21)
        state, step = advance.state, step + advance.num_steps
        counts.append(advance.num_steps)
    assert counts == [8, 8, 5]
    assert feed._run._cache_size() == 1


def test_the_streaming_feed_follows_a_jump():
    feed = make_feeds()["streaming"]
    for step in (0, 1, 7, 2):
        loss = feed.advance(initial(), step, 21).metrics.loss[0]
        assert float(loss) == expected_losses(step, step + 1)[0]
    feed.close()


CONFIG = DataConfig(
    crop_padding=1, flip=True, roll=1, rotation=10.0, cutout=2, mixup=0.8, cutmix=1.0, auto_augment=True
)


def test_a_batch_is_the_composition_of_its_augmentations(key):
    inputs = np.tile(SPLIT.inputs, (1, 1, 1, 3))
    prepare = jax.jit(feeds.make_prepare(CONFIG, (0.5,) * 3, (0.25,) * 3, 3))
    batch, targets = prepare(key, inputs, SPLIT.labels)
    move_key, color_key, cutout_key, mix_key = jax.random.split(key, 4)
    crop_key, flip_key, roll_key, rotation_key = jax.random.split(move_key, 4)
    images = augment.random_crop(crop_key, inputs, 1)
    images = augment.random_horizontal_flip(flip_key, images)
    images = augment.random_roll(roll_key, images, 1)
    images = augment.random_rotation(rotation_key, images, 10.0)
    images = augment.auto_augment(color_key, images)
    normalized = jnp.asarray((np.asarray(images) / 255 - 0.5) / 0.25, jnp.float32)
    expected = augment.mix(
        mix_key,
        augment.cutout(cutout_key, normalized, 2),
        jax.nn.one_hot(SPLIT.labels, 3),
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
    )
    np.testing.assert_allclose(batch, expected[0], atol=1e-5)
    np.testing.assert_allclose(targets, expected[1], atol=1e-6)


def test_without_augmentation_a_batch_is_normalised_and_keeps_its_labels(key):
    prepare = feeds.make_prepare(DataConfig(), (0.5,), (0.25,), 3)
    batch, targets = prepare(key, SPLIT.inputs, SPLIT.labels)
    np.testing.assert_allclose(batch, (SPLIT.inputs / 255 - 0.5) / 0.25, atol=1e-6)
    np.testing.assert_array_equal(targets, SPLIT.labels)


def test_a_recording_moves_as_one_and_comes_out_time_major(key):
    frames = np.repeat(GENERATOR.integers(0, 9, (5, 1, 8, 8, 2), dtype=np.uint8), 3, axis=1)
    config = DataConfig(name="nmnist", crop_padding=2, flip=True, roll=2, rotation=20.0)
    batch, _ = feeds.make_prepare(config, (0.0,) * 2, (1 / 255,) * 2, 3)(key, frames, SPLIT.labels[:5])
    assert batch.shape == (3, 5, 8, 8, 2)
    for step in (1, 2):
        np.testing.assert_array_equal(batch[step], batch[0])
    assert np.any(np.asarray(batch[0]) != frames[:, 0])


def dataset():
    return Dataset("tiny", ("a", "b", "c"), SPLIT, SPLIT, (0.5,), (0.25,))


def config(**data):
    return TrainConfig(epochs=2, batch_size=4, model=ModelConfig(widths=(2,), num_steps=2), data=DataConfig(**data))


def test_the_trainer_picks_the_feed_by_size():
    assert Trainer(config(), dataset()).is_resident
    assert not Trainer(config(resident_limit_gib=1e-7), dataset()).is_resident
    assert not Trainer(config(feed="streaming"), dataset()).is_resident
    assert Trainer(config(feed="resident", resident_limit_gib=0.0), dataset()).is_resident


def test_both_feeds_train_the_same_network(tmp_path):
    states = []
    for feed in ("resident", "streaming"):
        trainer = Trainer(config(feed=feed, workers=0, mixup=0.5, flip=True), dataset())
        checkpoints = Checkpoints(tmp_path / feed / "checkpoints")
        states.append(trainer.fit(trainer.initial_state, checkpoints))
        checkpoints.close()
    chex.assert_trees_all_equal(*states)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_padding": -1}, "crop_padding=-1 must not be negative"),
        ({"mixup": -0.1}, "mixup=-0.1 must not be negative"),
        ({"switch_probability": 1.5}, r"switch_probability=1.5 must be in \[0, 1\]"),
        ({"image_size": 0}, "image_size=0 must be at least 1"),
        ({"frame_size": 0}, "frame_size=0 must be at least 1"),
        ({"name": "nmnist", "auto_augment": True}, "auto_augment is for images, and nmnist is made of events"),
    ],
)
def test_bad_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DataConfig(), **changes)
