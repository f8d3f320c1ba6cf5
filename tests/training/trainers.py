"""Small runs for the tests of training."""

import numpy as np
import optax
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.data import Dataset, Split
from hdlif_jax.training import Augmentation, Trainer, make_preprocess, plan, warmup_cosine

PARALLEL = nn.parallel()


def make_dataset(num_frames=None):
    """Three classes of 5×5 images that differ in their brightest column."""
    labels = np.arange(60, dtype=np.int32) % 3
    inputs = np.random.default_rng(0).integers(0, 60, (60, 5, 5, 2), np.uint8)
    inputs[np.arange(60), :, labels] += 180
    if num_frames:
        inputs = np.repeat(inputs[:, None], num_frames, 1)
    split = Split(inputs, labels)
    return Dataset("columns", ("left", "middle", "right"), split, split, (0.3, 0.3), (0.3, 0.3))


def make_trainer(
    dataset=None,
    *,
    epochs=2,
    batch_size=8,
    widths=(4,),
    num_steps=2,
    neuron=None,
    second_neuron=PARALLEL,
    rule=learning.random_step(),
    augmentation=Augmentation(),
    learning_rate=0.05,
    validation_fraction=0.2,
    planning=None,
    **options,
):
    """A run of a small network."""
    dataset = make_dataset() if dataset is None else dataset
    planned = plan(
        dataset, epochs=epochs, batch_size=batch_size, validation_fraction=validation_fraction, **(planning or {})
    )
    spec = nn.Spec(num_steps=num_steps, neuron=neuron or nn.hd_lif(), second_neuron=second_neuron)
    model = nn.conv_net(dataset.input_shape, dataset.num_classes, widths=widths, spec=spec, rngs=nnx.Rngs(0))
    updates = rule.updates_per_batch(num_steps) * planned.total_steps
    schedule = warmup_cosine(learning_rate, warmup=0, total=updates)
    return Trainer(
        planned,
        model,
        rule,
        losses.cross_entropy(0.1),
        optax.sgd(schedule, 0.9, nesterov=True),
        preprocess=make_preprocess(dataset.mean, dataset.std, dataset.num_classes, augmentation=augmentation),
        learning_rate=schedule,
        **options,
    )
