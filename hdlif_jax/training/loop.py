"""The training loop: epochs of jitted steps, evaluation, checkpoints, and what it tells the outside."""

import functools
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from hdlif_jax import nn, rollout
from hdlif_jax.data import BatchReader, Dataset, Source, Split, hold_out, nbytes
from hdlif_jax.training.checkpoint import Checkpoints
from hdlif_jax.training.config import TrainConfig
from hdlif_jax.training.feeds import Advance, Feed, ResidentFeed, StreamingFeed, make_prepare, time_major
from hdlif_jax.training.monitor import firing_problems
from hdlif_jax.training.optimizers import make_optimizer, warmup_cosine
from hdlif_jax.training.sharding import by_rows, make_mesh, place, replicated
from hdlif_jax.training.steps import TrainState, build_model, make_eval_step, make_train_step, normalize

MONITOR_BATCH = 64
EVAL_BATCH = 256


class TrainingDiverged(ArithmeticError):  # noqa: N818 - named for what happened
    """The loss is no longer finite."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """The run was asked to stop; its last checkpoint is complete."""


class Events(NamedTuple):
    """What a run tells the outside while it trains; every function may do nothing.

    Attributes:
      on_step: `(record)` of each batch, one call to the device late: step, epoch, loss, accuracy, learning_rate.
      on_epoch: `(record)` after each epoch: step, epoch, train_loss, train_accuracy, validation_accuracy_per_step
        (after 1…T steps; None without a validation split), firing_rates, images_per_second.
      on_state: `(step, variables)` before the first batch and after each call to the device, which may hold several
        batches; the arrays are given away afterwards.
      on_warning: `(message)`.
      should_stop: `(step) -> bool`, asked after each call to the device; at the end of an epoch the epoch is finished
        first, and at the end of the run the run is.
    """

    on_step: Callable[[dict[str, Any]], None] = lambda record: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda record: None
    on_state: Callable[[int, nn.Variables], None] = lambda step, variables: None
    on_warning: Callable[[str], None] = lambda message: None
    should_stop: Callable[[int], bool] = lambda step: False


class Trainer:
    """A configured run: its data, its compiled functions and its first state.

    Args:
      config: what to train and how.
      dataset: what to train on.
      mesh: the devices to train on, which change nothing of what is computed; all by default.

    Raises:
      ValueError: a dataset or devices that do not fit the configuration.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset, mesh: Mesh | None = None):
        self.config = config
        self.dataset = dataset
        self.mesh = make_mesh() if mesh is None else mesh
        if config.batch_size % self.mesh.size:
            raise ValueError(
                f"batch_size={config.batch_size} cannot be shared evenly by {self.mesh.size} devices; "
                f"choose a multiple of {self.mesh.size} or fewer devices"
            )
        self.is_resident = config.data.feed == "resident" or (
            config.data.feed == "auto" and nbytes(dataset.train) <= config.data.resident_limit_gib * 2**30
        )
        self.train: Source
        self.validation: Source
        self.train, self.validation = hold_out(
            dataset.train.load() if self.is_resident else dataset.train, config.data.validation_fraction
        )
        num_images = self.train.shape[0]
        if num_images < config.batch_size:
            raise ValueError(
                f"batch_size={config.batch_size} is more than the {num_images} training examples; "
                f"choose batch_size ≤ {num_images}"
            )
        # The last, incomplete batch of an epoch is left out: another order next time shows its images.
        self.steps_per_epoch = num_images // config.batch_size
        updates_per_step = config.model.num_steps if config.learning.rule == "every_step" else 1
        self.schedule = warmup_cosine(config.optimizer, self.steps_per_epoch * updates_per_step, config.epochs)
        self.updates_per_step = updates_per_step

        model = build_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
        network = nn.training_form(model, compute_dtype=config.precision)
        optimizer = make_optimizer(config.optimizer, self.schedule, network.per_step)
        variables = nn.variables_of(model)
        initial_state = TrainState(jnp.int32(0), *variables, optimizer.init(variables.params))
        on_all, rows = replicated(self.mesh), by_rows(self.mesh)
        self.initial_state = place(initial_state, on_all)
        prepare_batch = make_prepare(config.data, dataset.mean, dataset.std, dataset.num_classes)
        self._train_step = make_train_step(network, optimizer, config.learning, prepare_batch, config.seed)
        self.train_step = jax.jit(
            self._train_step, donate_argnums=0, in_shardings=(on_all, rows, rows), out_shardings=on_all
        )
        self._eval_step = jax.jit(make_eval_step(nn.inference_form(model), self._prepare_inputs), out_shardings=on_all)
        recording = nn.training_form(model, record=True)  # of the batch's own statistics: sound before any training
        self._firing_rates = jax.jit(
            lambda variables, inputs: rollout.firing_rates(recording, variables, self._prepare_inputs(inputs)),
            out_shardings=on_all,
        )
        self._is_finite = jax.jit(
            lambda variables: jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(variables)])),
            out_shardings=on_all,
        )

    @property
    def num_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.initial_state.params))

    @property
    def total_steps(self) -> int:
        """Number of batches of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    def batch(self, step: int) -> Split:
        """Inputs and labels of a step: a function of (seed, step) alone, so that a resumed run goes on exactly."""
        return BatchReader(self.train, self.config.batch_size, self.config.seed)(step)

    def feed(self) -> Feed:
        """What trains on those batches: from the device's memory where they fit, else read from disk."""
        batch_size, seed = self.config.batch_size, self.config.seed
        if self.is_resident:
            return ResidentFeed(self.train.load(), batch_size, seed, self._train_step, self.mesh)
        return StreamingFeed(self.train, batch_size, seed, self._train_step, self.mesh, self.config.data.workers)

    def accuracy_per_step(self, state: TrainState, source: Source) -> list[float]:
        """Accuracy on a split after 1…T time-steps, each in [0, 1]."""
        num_images = source.shape[0]
        size = -(-min(EVAL_BATCH, num_images) // self.mesh.size) * self.mesh.size
        right = np.zeros(self.config.model.num_steps, np.int64)
        for start in range(0, num_images, size):
            inputs, labels = source.read(np.arange(start, min(start + size, num_images)))
            missing = size - len(labels)
            inputs = np.pad(inputs, [(0, missing)] + [(0, 0)] * (inputs.ndim - 1))
            labels = np.pad(labels, (0, missing), constant_values=-1)
            inputs, labels = place((inputs, labels), by_rows(self.mesh))
            right += np.asarray(self._eval_step(state.variables, inputs, labels))
        return [int(count) / num_images for count in right]

    def firing_rates(self, state: TrainState) -> dict[str, float]:
        """Share of firing neurons by layer on one fixed batch of training images."""
        rates = self._firing_rates(state.variables, self._monitor_inputs)
        return {layer: float(rate) for layer, rate in rates.items()}

    @functools.cached_property
    def _monitor_inputs(self) -> jax.Array:
        inputs = self.train.read(np.arange(min(MONITOR_BATCH, self.train.shape[0]))).inputs
        return place(inputs, replicated(self.mesh))

    def fit(
        self,
        state: TrainState,
        checkpoints: Checkpoints,
        events: Events = Events(),
        earlier: Sequence[dict[str, Any]] = (),
    ) -> TrainState:
        """Trains from `state` to the last epoch.

        Args:
          state: the initial state, or a checkpoint's; its arrays are given away and must not be used again.
          checkpoints: where to write.
          events: whom to tell.
          earlier: of a run that goes on within an epoch, what `on_step` was told in that epoch before.

        Returns:
          The trained state, which is also the last checkpoint.

        Raises:
          TrainingDiverged: the loss or a parameter is not finite; names the step and the last good checkpoint.
          CheckpointError: a checkpoint could not be written; names the last good one.
          Interrupted: `events.should_stop` said so; a checkpoint of this very step was written before.
        """
        feed = self.feed()
        try:
            return self._fit(feed, state, checkpoints, events, list(earlier))
        finally:
            feed.close()

    def _fit(
        self,
        feed: Feed,
        state: TrainState,
        checkpoints: Checkpoints,
        events: Events,
        records: list[dict[str, Any]],
    ) -> TrainState:
        step = int(state.step)
        self._warn_of_firing(self.firing_rates(state), events)
        if step == 0:
            events.on_state(step, state.variables)
        while step < self.total_steps:
            epoch_end = (step // self.steps_per_epoch + 1) * self.steps_per_epoch
            start_step, start_time = step, time.perf_counter()
            # Metrics are read one call late, while the device already works on the next.
            pending: tuple[int, Advance] | None = None
            while step < epoch_end:
                advance = feed.advance(state, step, self._next_stop(step, epoch_end))
                state = advance.state
                if pending is not None:
                    records += self._records(pending, checkpoints, events)
                pending = (step, advance)
                step += advance.num_steps
                events.on_state(step, state.variables)
                stops = events.should_stop(step)
                if step < epoch_end and (stops or self._saves_within_epoch(step)):
                    records += self._records(pending, checkpoints, events)
                    pending = None
                    path = self._save(state, checkpoints)
                    if stops:
                        self._interrupt(step, path, checkpoints)
            if pending is not None:
                records += self._records(pending, checkpoints, events)
            seconds = time.perf_counter() - start_time
            epoch = step // self.steps_per_epoch
            firing_rates = self.firing_rates(state)
            self._warn_of_firing(firing_rates, events)
            validation = self.accuracy_per_step(state, self.validation) if self.validation.shape[0] else None
            # Told before it is saved, as batches are: a run that goes on from this checkpoint will not tell it again.
            events.on_epoch(
                {
                    "step": step,
                    "epoch": epoch,
                    "train_loss": float(np.mean([record["loss"] for record in records])),
                    "train_accuracy": float(np.mean([record["accuracy"] for record in records])),
                    "validation_accuracy_per_step": validation,
                    "firing_rates": firing_rates,
                    "images_per_second": (step - start_step) * self.config.batch_size / seconds,
                }
            )
            records = []
            if stops or epoch % self.config.checkpoint_every_epochs == 0 or step == self.total_steps:
                path = self._save(state, checkpoints, validation[-1] if validation else None)
                if stops and step < self.total_steps:
                    self._interrupt(step, path, checkpoints)
        checkpoints.wait()
        return state

    def _interrupt(self, step: int, path: pathlib.Path, checkpoints: Checkpoints) -> NoReturn:
        checkpoints.wait()
        raise Interrupted(f"stopped after step {step} of {self.total_steps}; checkpoint {path}")

    def _next_stop(self, step: int, epoch_end: int) -> int:
        """Where a call to the device that begins at `step` ends at the latest."""
        every = self.config.checkpoint_every_steps
        return min(epoch_end, (step // every + 1) * every) if every else epoch_end

    def _saves_within_epoch(self, step: int) -> bool:
        every = self.config.checkpoint_every_steps
        return bool(every) and step % every == 0

    def _save(self, state: TrainState, checkpoints: Checkpoints, accuracy: float | None = None) -> pathlib.Path:
        if not self._is_finite(state.variables):
            step = int(state.step)
            raise TrainingDiverged(f"parameters are not finite after step {step}; {_last_good(checkpoints)}")
        return checkpoints.save(state, accuracy)

    def _prepare_inputs(self, inputs: jax.Array) -> jax.Array:
        return time_major(normalize(inputs, self.dataset.mean, self.dataset.std))

    def _records(self, measured: tuple[int, Advance], checkpoints: Checkpoints, events: Events) -> list[dict[str, Any]]:
        first_step, advance = measured
        losses, accuracies = (np.asarray(values) for values in advance.metrics)
        records = []
        for index in range(advance.num_steps):
            step, loss = first_step + index + 1, float(losses[index])
            if not math.isfinite(loss):
                raise TrainingDiverged(f"the loss is {loss} at step {step}; {_last_good(checkpoints)}")
            record = {
                "step": step,
                "epoch": (step - 1) // self.steps_per_epoch + 1,
                "loss": loss,
                "accuracy": float(accuracies[index]),
                "learning_rate": float(self.schedule((step - 1) * self.updates_per_step)),
            }
            events.on_step(record)
            records.append(record)
        return records

    def _warn_of_firing(self, firing_rates: dict[str, float], events: Events) -> None:
        for problem in firing_problems(firing_rates):
            events.on_warning(problem)


def _last_good(checkpoints: Checkpoints) -> str:
    checkpoints.wait()
    saved = checkpoints.steps()
    good = f"the last good checkpoint is that of step {saved[-1]}" if saved else "no checkpoint was written yet"
    return f"{good}; lower the learning rate"
