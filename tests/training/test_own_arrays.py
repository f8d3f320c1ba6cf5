"""Runs of your own arrays, floats included."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import encodings, learning, losses, nn
from hdlif_jax.data import Dataset, frames_of, nbytes
from hdlif_jax.ops import intensities, normalize
from hdlif_jax.training import Augmentation, Trainer, make_preprocess, plan
from tests.training.trainers import make_dataset, make_trainer


def as_floats(dataset, scale=1.0, offset=0.0):
    """The same pictures in another unit."""
    parts = {
        name: (offset + scale * part.inputs / 255.0, part.labels)
        for name, part in {"train": dataset.train, "test": dataset.test}.items()
    }
    return Dataset.from_arrays(
        *parts["train"], test_images=parts["test"][0], test_labels=parts["test"][1], class_names=dataset.class_names
    )


def of_levels(dataset):
    train, test = dataset.train, dataset.test
    return Dataset.from_arrays(*train, test_images=test.inputs, test_labels=test.labels)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (255.0, 0.0), (2.0, -1.0)])
def test_floats_in_any_unit_reach_the_network_as_levels_do(scale, offset):
    levels, floats = of_levels(make_dataset()), as_floats(make_dataset(), scale, offset)
    assert floats.train.dtype == np.float32
    seen = [normalize(jnp.asarray(own.train.inputs), own.mean, own.std) for own in (levels, floats)]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)
    np.testing.assert_allclose(jnp.mean(seen[1], (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.std(seen[1], (0, 1, 2)), 1, rtol=1e-5)
    assert nbytes(floats.train) == floats.train.inputs.nbytes == 4 * nbytes(levels.train)


def test_intensities_are_those_of_levels_and_floats_as_they_are():
    np.testing.assert_allclose(intensities(jnp.array([0, 51, 255], jnp.uint8)), [0, 0.2, 1], rtol=1e-6)
    for dtype in (jnp.float32, jnp.bfloat16):
        values = jnp.array([0.0, 0.5, 3.0], dtype)
        np.testing.assert_array_equal(intensities(values), np.float32([0, 0.5, 3]))
        assert intensities(values).dtype == jnp.float32


@pytest.mark.parametrize("resident", [True, False])
def test_a_run_of_floats_trains(resident):
    options = {} if resident else {"workers": 0}
    augmentation = Augmentation(crop_padding=1, flip=True, mixup=0.2) if resident else Augmentation()
    trainer = make_trainer(
        as_floats(make_dataset()), epochs=1, planning={"resident": resident}, augmentation=augmentation, **options
    )
    assert trainer.batch(0).inputs.dtype == np.float32
    state = trainer.initial_state
    runner = trainer.runner()
    ran = runner.run(state, 0, 1)
    runner.close()
    assert np.isfinite(np.asarray(ran.metrics.loss)[0])
    assert 0 <= trainer.accuracy_per_step(ran.state, trainer.dataset.test)[-1] <= 1


def test_own_recordings_become_a_run():
    generator = np.random.default_rng(0)
    events = [np.sort(generator.integers(0, 5, (12, 30)), -1) for _ in range(4)]
    x, y, t, p = events[0], events[1], np.sort(events[2], -1), events[3] > 2
    frames = frames_of(x, y, t, p, sensor=(5, 5), num_frames=2)
    dataset = Dataset.from_arrays(frames, np.arange(12) % 3, test_fraction=0.25)
    trainer = make_trainer(dataset, epochs=1, batch_size=4, validation_fraction=0.0)
    assert len(trainer.accuracy_per_step(trainer.initial_state, dataset.test)) == 2


def test_auto_augment_refuses_floats_by_name():
    dataset = as_floats(make_dataset())
    preprocess = make_preprocess(dataset.mean, dataset.std, 3, augmentation=Augmentation(auto_augment=True))
    images = jnp.asarray(dataset.train.inputs[:2, ..., :1])
    with pytest.raises(ValueError, match=r"auto_augment works on uint8 levels .* float32 .*leave auto_augment out"):
        preprocess(jax.random.key(0), images, jnp.zeros(2, jnp.int32))


def test_an_encoding_refuses_floats_that_are_no_intensities():
    code = encodings.poisson(2)
    for dataset in (make_dataset(), as_floats(make_dataset())):
        trainer = make_trainer(dataset, encoding=code)
        assert set(np.unique(trainer.normalize(dataset.test.inputs))) == {0.0, 1.0}
    with pytest.raises(ValueError, match=r"floats from .* intensities in \[0, 1\]; scale them"):
        make_trainer(as_floats(make_dataset(), 255.0), encoding=code)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (make_dataset(), {"num_classes": 2}, "columns has 3 classes and the network 2 outputs"),
        (
            make_dataset(),
            {"input_shape": (6, 5, 2)},
            r"reaches the network as \[1, 5, 5, 2\], which reads \[1, 6, 5, 2\]",
        ),
        (make_dataset(num_frames=3), {}, r"as \[3, 1, 5, 5, 2\], which reads \[1, 5, 5, 2\] or 2 time-steps"),
    ],
)
def test_a_network_of_other_data_is_refused_before_it_trains(dataset, options, message):
    sizes = {"input_shape": dataset.input_shape, "num_classes": dataset.num_classes} | options
    model = nn.conv_net(**sizes, widths=(4,), spec=nn.Spec(num_steps=2), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=message):
        Trainer(
            plan(dataset, epochs=1, batch_size=4), model, learning.random_step(), losses.cross_entropy(), optax.sgd(0.1)
        )
