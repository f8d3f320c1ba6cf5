"""A run: epochs of jitted steps, evaluation, checkpoints, and what it tells the outside."""

import functools
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from hdlif_jax import nn, rollout
from hdlif_jax.checks import Amount, Count, Seed, check_arguments
from hdlif_jax.data import BatchReader, Dataset, Source
from hdlif_jax.encodings import Encoding
from hdlif_jax.learning import Batch, Loss, Rule
from hdlif_jax.training.checkpoint import Checkpoints
from hdlif_jax.training.evaluate import accuracy_per_step, make_eval_step
from hdlif_jax.training.match import check_intensities, check_match
from hdlif_jax.training.monitor import firing_problems
from hdlif_jax.training.plan import Plan
from hdlif_jax.training.preprocess import Preprocess, make_normalize, make_preprocess
from hdlif_jax.training.runners import Ran, ResidentRunner, Runner, StreamingRunner
from hdlif_jax.training.sharding import batch_sharding, make_mesh, place, replicated
from hdlif_jax.training.steps import TrainState, initial_state, make_train_step

MONITOR_BATCH = 64


class TrainingDiverged(ArithmeticError):  # noqa: N818 - named for what happened
    """The loss is no longer finite."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """The run was asked to stop; its last checkpoint is complete."""


class Callbacks(NamedTuple):
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
    """A run of given objects: its data, its compiled functions and its first state.

    Args:
      plan: data and length, from `plan`.
      model: any network; its parameters are where the run starts.
      rule: of `learning`, or your own.
      loss: a step loss, or a sequence loss where the rule takes one.
      optimizer: any optax transformation.
      preprocess: `(key, inputs, labels) -> (inputs, targets)` on the device; None normalises.
      encoding: of static inputs, for evaluation; the one that `preprocess` was made with.
      learning_rate: schedule by number of updates, for the records; None reports none.
      seed: of the data order, the augmentation and the drawn time-steps.
      dtype: of convolutions and the currents between them while training.
      checkpoint_every_epochs: epochs between checkpoints.
      checkpoint_every_steps: batches between checkpoints within an epoch; 0 for none.
      workers: processes that read for a training set that is not resident.
      mesh: the devices to train on, which change nothing of what is computed; all by default.

    Raises:
      ValueError: devices that cannot share the batch, or a network that does not fit the data.
    """

    @check_arguments
    def __init__(
        self,
        plan: Plan,
        model: nn.SpikingNetwork,
        rule: Rule,
        loss: Loss,
        optimizer: optax.GradientTransformation,
        *,
        preprocess: Preprocess | None = None,
        encoding: Encoding | None = None,
        learning_rate: optax.Schedule | None = None,
        seed: Seed = 0,
        dtype: jax.typing.DTypeLike = jnp.float32,
        checkpoint_every_epochs: Count = 1,
        checkpoint_every_steps: Amount = 0,
        workers: Amount = 2,
        mesh: Mesh | None = None,
    ):
        self.plan, self.model, self.rule, self.loss, self.seed = plan, model, rule, loss, seed
        self.mesh = make_mesh() if mesh is None else mesh
        if plan.batch_size % self.mesh.size:
            raise ValueError(
                f"batch_size={plan.batch_size} cannot be shared evenly by {self.mesh.size} devices; "
                f"choose a multiple of {self.mesh.size} or fewer devices"
            )
        self.updates_per_step = rule.updates_per_batch(model.num_steps)
        self._learning_rate = learning_rate
        self._every_epochs, self._every_steps, self._workers = checkpoint_every_epochs, checkpoint_every_steps, workers
        dataset = plan.dataset
        if preprocess is None:
            preprocess = make_preprocess(dataset.mean, dataset.std, dataset.num_classes, encoding=encoding)
        self.normalize = make_normalize(dataset.mean, dataset.std, encoding)
        check_match(dataset, model, self.normalize)
        if encoding is not None:
            check_intensities(dataset)
        on_all, rows = replicated(self.mesh), batch_sharding(self.mesh)
        self.initial_state = place(initial_state(model, optimizer), on_all)
        network = nn.training_form(model, dtype=dtype)
        self._train_step = make_train_step(network, rule, loss, optimizer, preprocess=preprocess, seed=seed)
        self.train_step = jax.jit(self._train_step, donate_argnums=0, in_shardings=(on_all, rows), out_shardings=on_all)
        self._eval_step = jax.jit(make_eval_step(nn.inference_form(model), self.normalize), out_shardings=on_all)
        recording = nn.training_form(model, record=True)  # of the batch's own statistics: sound before any training
        self._firing_rates = jax.jit(
            lambda variables, inputs: rollout.firing_rates(
                recording, variables, self.normalize(inputs), key=jax.random.key(seed), layerwise=rule.layerwise
            ),
            out_shardings=on_all,
        )
        self._is_finite = jax.jit(
            lambda variables: jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(variables)])),
            out_shardings=on_all,
        )

    @property
    def dataset(self) -> Dataset:
        """What is trained on."""
        return self.plan.dataset

    @property
    def num_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.initial_state.params))

    def batch(self, step: int) -> Batch:
        """Inputs and labels of a step: a function of (seed, step) alone, so that a resumed run goes on exactly."""
        examples: Any = BatchReader(self.plan.train, self.plan.batch_size, self.seed)(step)
        return Batch(*examples)

    def runner(self) -> Runner:
        """What trains on those batches: from the device's memory where they fit, else read from disk."""
        arguments = self.plan.batch_size, self.seed, self._train_step, self.mesh
        if self.plan.is_resident:
            return ResidentRunner(self.plan.train.load(), *arguments)
        return StreamingRunner(self.plan.train, *arguments, self._workers)

    def accuracy_per_step(self, state: TrainState, source: Source) -> list[float]:
        """Accuracy on a split after 1…T time-steps, each in [0, 1]."""
        return accuracy_per_step(self._eval_step, state.variables, source, self.mesh)

    def firing_rates(self, state: TrainState) -> dict[str, float]:
        """Share of firing neurons by layer on one fixed batch of training images."""
        rates = self._firing_rates(state.variables, self._monitor_inputs)
        return {layer: float(rate) for layer, rate in rates.items()}

    @functools.cached_property
    def _monitor_inputs(self) -> jax.Array:
        inputs = self.plan.train.read(np.arange(min(MONITOR_BATCH, self.plan.train.shape[0]))).inputs
        placed: jax.Array = place(inputs, replicated(self.mesh))
        return placed

    def fit(
        self,
        state: TrainState,
        checkpoints: Checkpoints,
        callbacks: Callbacks = Callbacks(),
        earlier: Sequence[dict[str, Any]] = (),
    ) -> TrainState:
        """Trains from `state` to the last epoch.

        Args:
          state: the initial state, or a checkpoint's; its arrays are given away and must not be used again.
          checkpoints: where to write.
          callbacks: whom to tell.
          earlier: of a run that goes on within an epoch, what `on_step` was told in that epoch before.

        Returns:
          The trained state, which is also the last checkpoint.

        Raises:
          TrainingDiverged: the loss or a parameter is not finite; names the step and the last good checkpoint.
          CheckpointError: a checkpoint could not be written; names the last good one.
          Interrupted: `callbacks.should_stop` said so; a checkpoint of this very step was written before.
        """
        runner = self.runner()
        try:
            return self._fit(runner, state, checkpoints, callbacks, list(earlier))
        finally:
            runner.close()

    def _fit(
        self,
        runner: Runner,
        state: TrainState,
        checkpoints: Checkpoints,
        callbacks: Callbacks,
        records: list[dict[str, Any]],
    ) -> TrainState:
        step = int(state.step)
        self._warn_of_firing(self.firing_rates(state), callbacks)
        if step == 0:
            callbacks.on_state(step, state.variables)
        while step < self.plan.total_steps:
            epoch_end = (step // self.plan.steps_per_epoch + 1) * self.plan.steps_per_epoch
            start_step, start_time = step, time.perf_counter()
            # Metrics are read one call late, while the device already works on the next.
            pending: tuple[int, Ran] | None = None
            while step < epoch_end:
                ran = runner.run(state, step, self._next_stop(step, epoch_end))
                state = ran.state
                if pending is not None:
                    records += self._records(pending, checkpoints, callbacks)
                pending = (step, ran)
                step += ran.num_steps
                callbacks.on_state(step, state.variables)
                stops = callbacks.should_stop(step)
                if step < epoch_end and (stops or self._saves_within_epoch(step)):
                    records += self._records(pending, checkpoints, callbacks)
                    pending = None
                    path = self._save(state, checkpoints)
                    if stops:
                        self._interrupt(step, path, checkpoints)
            if pending is not None:
                records += self._records(pending, checkpoints, callbacks)
            seconds = time.perf_counter() - start_time
            epoch = step // self.plan.steps_per_epoch
            firing_rates = self.firing_rates(state)
            self._warn_of_firing(firing_rates, callbacks)
            validation = self.accuracy_per_step(state, self.plan.validation) if self.plan.validation.shape[0] else None
            # Told before it is saved, as batches are: a run that goes on from this checkpoint will not tell it again.
            callbacks.on_epoch(
                {
                    "step": step,
                    "epoch": epoch,
                    "train_loss": float(np.mean([record["loss"] for record in records])),
                    "train_accuracy": float(np.mean([record["accuracy"] for record in records])),
                    "validation_accuracy_per_step": validation,
                    "firing_rates": firing_rates,
                    "images_per_second": (step - start_step) * self.plan.batch_size / seconds,
                }
            )
            records = []
            if stops or epoch % self._every_epochs == 0 or step == self.plan.total_steps:
                path = self._save(state, checkpoints, validation[-1] if validation else None)
                if stops and step < self.plan.total_steps:
                    self._interrupt(step, path, checkpoints)
        checkpoints.wait()
        return state

    def _interrupt(self, step: int, path: pathlib.Path, checkpoints: Checkpoints) -> NoReturn:
        checkpoints.wait()
        raise Interrupted(f"stopped after step {step} of {self.plan.total_steps}; checkpoint {path}")

    def _next_stop(self, step: int, epoch_end: int) -> int:
        """Where a call to the device that begins at `step` ends at the latest."""
        every = self._every_steps
        return min(epoch_end, (step // every + 1) * every) if every else epoch_end

    def _saves_within_epoch(self, step: int) -> bool:
        every = self._every_steps
        return bool(every) and step % every == 0

    def _save(self, state: TrainState, checkpoints: Checkpoints, accuracy: float | None = None) -> pathlib.Path:
        if not self._is_finite(state.variables):
            step = int(state.step)
            raise TrainingDiverged(f"parameters are not finite after step {step}; {_last_good(checkpoints)}")
        return checkpoints.save(state, accuracy)

    def _records(
        self, measured: tuple[int, Ran], checkpoints: Checkpoints, callbacks: Callbacks
    ) -> list[dict[str, Any]]:
        first_step, ran = measured
        losses, accuracies = (np.asarray(values) for values in ran.metrics)
        records = []
        for index in range(ran.num_steps):
            step, loss = first_step + index + 1, float(losses[index])
            if not math.isfinite(loss):
                raise TrainingDiverged(f"the loss is {loss} at step {step}; {_last_good(checkpoints)}")
            record = {
                "step": step,
                "epoch": (step - 1) // self.plan.steps_per_epoch + 1,
                "loss": loss,
                "accuracy": float(accuracies[index]),
                "learning_rate": None if self._rates is None else float(self._rates[step - 1]),
            }
            callbacks.on_step(record)
            records.append(record)
        return records

    @functools.cached_property
    def _rates(self) -> np.ndarray | None:
        # Of all batches at once: asked for within the loop, each would wait for the step that is running.
        if self._learning_rate is None:
            return None
        updates = self.updates_per_step * jnp.arange(self.plan.total_steps)
        return np.asarray(jax.vmap(self._learning_rate)(updates))

    def _warn_of_firing(self, firing_rates: dict[str, float], callbacks: Callbacks) -> None:
        for problem in firing_problems(firing_rates):
            callbacks.on_warning(problem)


def _last_good(checkpoints: Checkpoints) -> str:
    checkpoints.wait()
    saved = checkpoints.steps()
    good = f"the last good checkpoint is that of step {saved[-1]}" if saved else "no checkpoint was written yet"
    return f"{good}; lower the learning rate"
