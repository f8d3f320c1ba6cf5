"""What a training batch goes through on the device, and the two ways in which batches get there."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from hdlif_jax.data import BatchReader, Source, Split, batch_indices, stream
from hdlif_jax.data.order import ROUNDS
from hdlif_jax.training import augment
from hdlif_jax.training.config import DataConfig
from hdlif_jax.training.sharding import by_rows, place, place_own_rows, replicated
from hdlif_jax.training.steps import StepMetrics, TrainState, TrainStep, normalize

STEPS_PER_DISPATCH = 32  # of the resident feed, where the backend can roll a loop around a training step


class Advance(NamedTuple):
    """What some steps did.

    Attributes:
      state: after them.
      metrics: of each, `[n]` or more; only the first n count.
      num_steps: n.
    """

    state: TrainState
    metrics: StepMetrics
    num_steps: int


class Feed(Protocol):
    """Trains on batches that are functions of (seed, step), so that a run goes on anywhere exactly."""

    def advance(self, state: TrainState, step: int, last_step: int) -> Advance:
        """Runs a few steps, at least one and not beyond `last_step`, from `state`, which is given away."""

    def close(self) -> None:
        """Ends what runs in the background."""


class ResidentFeed:
    """The training set lives on the device as uint8; order, augmentation and batching happen inside the jitted step.

    Args:
      split: the training set.
      batch_size: B.
      seed: of the order.
      train_step: `(state, inputs, labels) -> (state, metrics)`.
      mesh: the devices; each holds the whole set and computes its rows of a batch.
      steps_per_dispatch: how many steps one call to the device runs. By default 1 on CPU, whose gradient of a
        convolution is about 80 times slower inside a loop, and 32 elsewhere.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        train_step: TrainStep,
        mesh: Mesh,
        steps_per_dispatch: int | None = None,
    ):
        if steps_per_dispatch is None:
            steps_per_dispatch = 1 if jax.default_backend() == "cpu" else STEPS_PER_DISPATCH
        self.steps_per_dispatch = steps_per_dispatch
        # Arguments of the jitted function and not constants in it: those would be copied into the executable.
        self._inputs, self._labels = place((split.inputs, split.labels), replicated(mesh))
        take = make_take(len(split.labels), batch_size, seed)

        def one_step(state: TrainState, inputs: jax.Array, labels: jax.Array) -> tuple[TrainState, StepMetrics]:
            batch = jax.lax.with_sharding_constraint(take(inputs, labels, state.step), by_rows(mesh))
            return train_step(state, *batch)

        def many_steps(state, inputs, labels, count):
            def body(index, carry):
                state, recorded = carry
                state, metrics = one_step(state, inputs, labels)
                return state, jax.tree.map(lambda values, value: values.at[index].set(value), recorded, metrics)

            empty = StepMetrics(*(jnp.zeros(steps_per_dispatch) for _ in StepMetrics._fields))
            return jax.lax.fori_loop(0, count, body, (state, empty))

        single = steps_per_dispatch == 1
        self._run = jax.jit(one_step if single else many_steps, donate_argnums=0, out_shardings=replicated(mesh))

    def advance(self, state: TrainState, step: int, last_step: int) -> Advance:
        """See `Feed`; the state's own step says which batch comes."""
        if self.steps_per_dispatch == 1:
            state, metrics = self._run(state, self._inputs, self._labels)
            return Advance(state, jax.tree.map(lambda value: value[None], metrics), 1)
        count = min(self.steps_per_dispatch, last_step - step)
        state, metrics = self._run(state, self._inputs, self._labels, np.int32(count))
        return Advance(state, metrics, count)

    def close(self) -> None:
        """Nothing runs in the background."""


class StreamingFeed:
    """Worker processes read and decode ahead; the next batch is on its way to the device while a step runs.

    Args:
      source: the training set.
      batch_size: B.
      seed: of the order and of the crops made while decoding.
      train_step: `(state, inputs, labels) -> (state, metrics)`.
      mesh: the devices; a process reads the rows of its own devices alone.
      workers: number of processes that read for this one.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, train_step: TrainStep, mesh: Mesh, workers: int):
        self._reader = BatchReader(source, batch_size, seed, (jax.process_index(), jax.process_count()))
        self._workers = workers
        self._rows = by_rows(mesh)
        self._train_step = jax.jit(train_step, donate_argnums=0, out_shardings=replicated(mesh))
        self._batches: Iterator[Split] | None = None
        self._next: tuple[int, Any] | None = None

    def advance(self, state: TrainState, step: int, last_step: int) -> Advance:
        """See `Feed`; one step."""
        if self._next is None or self._next[0] != step:  # the first step, or a jump
            self.close()
            self._batches = stream(self._reader, step, 2**31 - 1, self._workers)
            self._fetch(step)
        assert self._next is not None
        _, batch = self._next
        state, metrics = self._train_step(state, *batch)  # returns at once: the device works on it
        self._fetch(step + 1)
        return Advance(state, jax.tree.map(lambda value: value[None], metrics), 1)

    def close(self) -> None:
        """Ends the workers."""
        if self._batches is not None:
            self._batches.close()  # type: ignore[attr-defined]
        self._batches = self._next = None

    def _fetch(self, step: int) -> None:
        assert self._batches is not None
        self._next = step, place_own_rows(tuple(next(self._batches)), self._rows)


def make_take(size: int, batch_size: int, seed: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Builds `(inputs [N, ...], labels [N], step) -> (inputs [B, ...], labels [B])`, the batch of a step, for jit."""

    def fold(body: Callable[[Any, Any], Any], places: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, ROUNDS, lambda round_, places: body(round_.astype(jnp.uint32), places), places)

    def take(inputs: jax.Array, labels: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        indices = batch_indices(step.astype(jnp.uint32)[None], size, batch_size, seed, fold)
        return inputs[indices], labels[indices]

    return take


def make_prepare(
    config: DataConfig, mean: tuple[float, ...], std: tuple[float, ...], num_classes: int
) -> Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Builds `(key, inputs, labels) -> (batch, targets)`: augmentation and normalisation of a training batch.

    In the order of torchvision's and timm's recipes: geometry and colour on uint8, normalisation, Cutout (a hole is
    then the mean), mixing. A recording moves as one.

    Args:
      config: which augmentations.
      mean: per channel.
      std: per channel.
      num_classes: K.

    Returns:
      A function of uint8 `[B, H, W, C]` or `[B, T, H, W, C]` and labels `[B]`. It returns float32 `[B, H, W, C]` or,
      time-major, `[T, B, H, W, C]`, and the labels or, where images are mixed, distributions `[B, K]`.
    """

    def move(key: jax.Array, images: jax.Array) -> jax.Array:
        crop_key, flip_key, roll_key, rotation_key = jax.random.split(key, 4)
        if config.crop_padding:
            images = augment.random_crop(crop_key, images, config.crop_padding)
        if config.flip:
            images = augment.random_horizontal_flip(flip_key, images)
        if config.roll:
            images = augment.random_roll(roll_key, images, config.roll)
        if config.rotation:
            images = augment.random_rotation(rotation_key, images, config.rotation)
        return images

    def prepare(key: jax.Array, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        move_key, color_key, cutout_key, mix_key = jax.random.split(key, 4)
        inputs = as_images(lambda images: move(move_key, images), inputs)
        if config.auto_augment:
            inputs = augment.auto_augment(color_key, inputs)
        batch = normalize(inputs, mean, std)
        if config.cutout:
            batch = as_images(lambda images: augment.cutout(cutout_key, images, config.cutout), batch)
        targets = labels
        if config.mixup or config.cutmix:
            batch, targets = augment.mix(
                mix_key,
                batch,
                jax.nn.one_hot(labels, num_classes, dtype=batch.dtype),
                mixup_alpha=config.mixup,
                cutmix_alpha=config.cutmix,
                switch_probability=config.switch_probability,
            )
        return time_major(batch), targets

    return prepare


def time_major(batch: jax.Array) -> jax.Array:
    """`[B, T, H, W, C]` to `[T, B, H, W, C]`; images stay."""
    return jnp.moveaxis(batch, 1, 0) if batch.ndim == 5 else batch


def as_images(function: Callable[[jax.Array], jax.Array], inputs: jax.Array) -> jax.Array:
    """Applies a function of `[B, H, W, C]` to `[B, T, H, W, C]` with T in the channels; images pass directly."""
    if inputs.ndim == 4:
        return function(inputs)
    batch, steps, height, width, channels = inputs.shape
    images = jnp.moveaxis(inputs, 1, 3).reshape(batch, height, width, steps * channels)
    moved = function(images).reshape(batch, height, width, steps, channels)
    return jnp.moveaxis(moved, 3, 1)
