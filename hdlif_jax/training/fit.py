"""A run: epochs of jitted steps, evaluation, checkpoints, and what it tells the outside."""

import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from hdlif_jax import nn
from hdlif_jax.checks import Amount, Count, Recalibrate, Seed, check, check_arguments
from hdlif_jax.data import BatchReader, Dataset, Source
from hdlif_jax.encodings import Encoding
from hdlif_jax.learning import Batch, Loss, Rule
from hdlif_jax.training.adjust import Adjust, adjusted
from hdlif_jax.training.callbacks import Callbacks, Interrupted, Nowhere, Trained, diverged, of_epoch
from hdlif_jax.training.checkpoint import Checkpoints
from hdlif_jax.training.evaluate import accuracy_per_step, make_eval_step
from hdlif_jax.training.explain import all_finite, explain_step
from hdlif_jax.training.match import check_intensities, check_match
from hdlif_jax.training.monitor import make_firing_rates, warn_of_firing
from hdlif_jax.training.optimizers import Optimizer
from hdlif_jax.training.plan import Plan
from hdlif_jax.training.preprocess import Preprocess, make_normalize, make_preprocess
from hdlif_jax.training.reach import warn_of_reach
from hdlif_jax.training.recalibrate import RECALIBRATION_BATCHES
from hdlif_jax.training.recalibrate import recalibrate as estimate_anew
from hdlif_jax.training.runners import Ran, ResidentRunner, Runner, StreamingRunner
from hdlif_jax.training.schedules import rates_of
from hdlif_jax.training.sharding import batch_sharding, check_shared, make_mesh, place, replicated
from hdlif_jax.training.steps import TrainState, check_alive, initial_state, keys_of_step, make_train_step

MONITOR_BATCH = 64


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
      recalibrate: "yes" estimates the running statistics anew at the end, over all time-steps of training images (see
        `recalibrate`); "auto" does and keeps what is better on the validation split, if there is one; "no" does not.
      seed: of the data order, the augmentation and the drawn time-steps.
      dtype: of convolutions and the currents between them while training.
      checkpoint_every_epochs: epochs between checkpoints.
      checkpoint_every_steps: batches between checkpoints within an epoch; 0 for none.
      workers: processes that read for a training set that is not resident.
      mesh: the devices to train on, which change nothing of what is computed; all by default.
      adjust: `(epoch, variables, batch) -> variables`, called before each epoch, see `adjust.Adjust`; None for nothing.

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
        optimizer: Optimizer,
        *,
        preprocess: Preprocess | None = None,
        encoding: Encoding | None = None,
        learning_rate: optax.Schedule | None = None,
        recalibrate: Recalibrate = "no",
        seed: Seed = 0,
        dtype: jax.typing.DTypeLike = jnp.float32,
        checkpoint_every_epochs: Count = 1,
        checkpoint_every_steps: Amount = 0,
        workers: Amount = 2,
        mesh: Mesh | None = None,
        adjust: Adjust | None = None,
    ):
        self.plan, self.model, self.rule, self.loss, self.seed = plan, model, rule, loss, seed
        self.mesh = make_mesh() if mesh is None else mesh
        check_shared(plan.batch_size, self.mesh)
        self.updates_per_step = rule.updates_per_batch(model.num_steps)
        self._learning_rate, self._recalibrate, self._adjust = learning_rate, recalibrate, adjust
        self._every_epochs, self._every_steps, self._workers = checkpoint_every_epochs, checkpoint_every_steps, workers
        dataset = plan.dataset
        if preprocess is None:
            preprocess = make_preprocess(dataset.mean, dataset.std, dataset.num_classes, encoding=encoding)
        self.normalize = make_normalize(dataset.mean, dataset.std, encoding)
        check_match(dataset, model, self.normalize)
        check_intensities(dataset, encoding)
        on_all, rows = replicated(self.mesh), batch_sharding(self.mesh)
        self._optimizer, self._preprocess = optimizer, preprocess
        network = nn.training_form(model, dtype=dtype)
        step_of = functools.partial(make_train_step, network, loss=loss, optimizer=optimizer)
        self._step_of = functools.partial(step_of, preprocess=preprocess, seed=seed)
        self._train_step = self._step_of(rule)
        self.train_step = jax.jit(self._train_step, donate_argnums=0, in_shardings=(on_all, rows), out_shardings=on_all)
        self._eval_step = jax.jit(make_eval_step(nn.inference_form(model), self.normalize), out_shardings=on_all)
        self._firing_rates = jax.jit(make_firing_rates(model, rule, self.normalize, seed), out_shardings=on_all)
        self._is_finite = jax.jit(all_finite, out_shardings=on_all)

    @property
    def dataset(self) -> Dataset:
        """What is trained on."""
        return self.plan.dataset

    def start_with(self, variables: nn.Variables) -> TrainState:
        """The initial state of a run that starts with other parameters and statistics than the model's."""
        state = initial_state(nn.with_variables(self.model, variables), self._optimizer)
        placed: TrainState = place(state, replicated(self.mesh))
        return placed

    @property
    def initial_state(self) -> TrainState:
        """Where the run starts; new arrays at every look, as `fit` gives away those that it gets."""
        return self.start_with(nn.variables_of(self.model))

    @functools.cached_property
    def num_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(nn.variables_of(self.model).params))

    def batch(self, step: int) -> Batch:
        """Inputs and labels of a step: a function of (seed, step) alone, so that a resumed run goes on exactly."""
        return Batch._make(BatchReader(self.plan.train, self.plan.batch_size, self.seed)(step))

    def runner(self) -> Runner:
        """What trains on those batches: from the device's memory where they fit, else read from disk."""
        arguments = self.plan.batch_size, self.seed, self._train_step, self.mesh
        if self.plan.is_resident:
            return ResidentRunner(self.plan.train.load(), *arguments)
        return StreamingRunner(self.plan.train, *arguments, self._workers)

    def accuracy_per_step(self, state: TrainState, source: Source) -> list[float]:
        """Accuracy on a split after 1…T time-steps, each in [0, 1]."""
        check_alive(state)
        return accuracy_per_step(self._eval_step, state.variables, source, self.mesh)

    def firing_rates(self, state: TrainState) -> dict[str, float]:
        """Share of firing neurons by layer on one fixed batch of training images."""
        check_alive(state)
        rates = self._firing_rates(state.variables, self._monitor_inputs)
        return {layer: float(rate) for layer, rate in rates.items()}

    @functools.cached_property
    def _monitor_inputs(self) -> jax.Array:
        inputs = self.plan.train.read(np.arange(min(MONITOR_BATCH, self.plan.train.shape[0]))).inputs
        placed: jax.Array = place(inputs, replicated(self.mesh))
        return placed

    @check_arguments
    def fit(
        self,
        state: TrainState | None = None,
        checkpoints: Checkpoints | None = None,
        callbacks: Callbacks = Callbacks(),
        earlier: Sequence[dict[str, Any]] = (),
    ) -> Trained:
        """Trains from `state` to the last epoch.

        Args:
          state: None for the initial state, or a checkpoint's, whose arrays are given away and must not be used again.
          checkpoints: where to write; None writes nothing.
          callbacks: whom to tell; `notebook_progress()` shows a line and curves.
          earlier: of a run that goes on within an epoch, what `on_step` was told in that epoch before.

        Returns:
          The trained state, which is also the last checkpoint, and the records of the epochs. Without checkpoints also
          where `callbacks.should_stop` said so, of what was trained until then.

        Raises:
          ValueError: a state that an earlier call has used up.
          TrainingDiverged: the loss or a parameter is not finite; names the step and the last good checkpoint.
          CheckpointError: a checkpoint could not be written; names the last good one.
          Interrupted: `callbacks.should_stop` said so; a checkpoint of this very step was written before.
        """
        for name, function in zip(callbacks._fields, callbacks, strict=True):
            check(f"callbacks.{name}", function, Callable[..., Any])
        state = self.initial_state if state is None else state
        check_alive(state)
        runner = self.runner()
        try:
            return self._fit(runner, state, Nowhere() if checkpoints is None else checkpoints, callbacks, list(earlier))
        finally:
            runner.close()

    def _fit(
        self,
        runner: Runner,
        state: TrainState,
        checkpoints: Checkpoints | Nowhere,
        callbacks: Callbacks,
        records: list[dict[str, Any]],
    ) -> Trained:
        step, history = int(state.step), list[dict[str, Any]]()
        state = self.adjusted(state, step)
        warn_of_firing(self.firing_rates(state), callbacks.on_warning)
        warn_of_reach(self.rule, runner.traced(state), self._step_of, (state, self.batch), callbacks.on_warning)
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
                    records += self._records(pending, state, checkpoints, callbacks)
                pending = (step, ran)
                step += ran.num_steps
                callbacks.on_state(step, state.variables)
                stops = callbacks.should_stop(step)
                if step < epoch_end and (stops or (self._every_steps and step % self._every_steps == 0)):
                    records += self._records(pending, state, checkpoints, callbacks)
                    pending = None
                    path = self._save(state, checkpoints)
                    if stops:
                        return self._stopped(state, history, path, checkpoints)
            if pending is not None:
                records += self._records(pending, state, checkpoints, callbacks)
            seconds = time.perf_counter() - start_time
            epoch = step // self.plan.steps_per_epoch
            firing_rates = self.firing_rates(state)
            warn_of_firing(firing_rates, callbacks.on_warning)
            learned, validation = state, self._validated(state)
            if step == self.plan.total_steps:
                state, validation = self._recalibrated(state, validation)
            # Told before it is saved, as batches are: a run that goes on from this checkpoint will not tell it again.
            history.append(
                of_epoch(records)
                | {
                    "validation_accuracy_per_step": validation,
                    "recalibrated": state is not learned,
                    "firing_rates": firing_rates,
                    "images_per_second": (step - start_step) * self.plan.batch_size / seconds,
                }
            )
            callbacks.on_epoch(history[-1])
            records = []
            if stops or epoch % self._every_epochs == 0 or step == self.plan.total_steps:
                path = self._save(state, checkpoints, validation[-1] if validation else None)
                if stops and step < self.plan.total_steps:
                    return self._stopped(state, history, path, checkpoints)
            state = self.adjusted(state, step)  # after it was saved: a run that goes on from there does it again
        checkpoints.wait()
        return Trained(state, tuple(history))

    def recalibrated(self, state: TrainState) -> TrainState:
        """The state with running statistics of all time-steps of training images, not augmented."""
        check_alive(state)
        order = range(min(self.plan.steps_per_epoch, RECALIBRATION_BATCHES))
        # Whole on each device, so that every process has the sums.
        batches = (self.normalize(place(self.batch(step).inputs, replicated(self.mesh))) for step in order)
        variables = estimate_anew(self.model, state.variables, batches, key=jax.random.key(self.seed))
        statistics: Any = place(variables.batch_stats, replicated(self.mesh))
        return dataclasses.replace(state, batch_stats=statistics)

    def adjusted(self, state: TrainState, step: int) -> TrainState:
        """The state that an epoch begins with, where one begins at this step."""
        epoch, within = divmod(step, self.plan.steps_per_epoch)
        if self._adjust is None or within or step >= self.plan.total_steps:
            return state
        batch = place(self.batch(step), replicated(self.mesh))
        variables = adjusted(self._adjust, epoch, self.model, state.variables, batch, self.normalize)
        params, batch_stats = place(variables, replicated(self.mesh))
        return dataclasses.replace(state, params=params, batch_stats=batch_stats)

    def _validated(self, state: TrainState) -> list[float] | None:
        return self.accuracy_per_step(state, self.plan.validation) if self.plan.validation.shape[0] else None

    def _recalibrated(self, state: TrainState, validation: list[float] | None) -> tuple[TrainState, list[float] | None]:
        """What the run ends with: the state, or it with statistics estimated anew where that is wanted, or better."""
        if self._recalibrate == "no" or (self._recalibrate == "auto" and validation is None):
            return state, validation
        other = self.recalibrated(state)
        accuracies = self._validated(other)
        if self._recalibrate == "auto" and validation and accuracies and accuracies[-1] <= validation[-1]:
            return state, validation
        return other, accuracies

    def _stopped(
        self,
        state: TrainState,
        history: list[dict[str, Any]],
        path: pathlib.Path | None,
        checkpoints: Checkpoints | Nowhere,
    ) -> Trained:
        checkpoints.wait()
        if path is None:
            return Trained(state, tuple(history))
        raise Interrupted(f"stopped after step {int(state.step)} of {self.plan.total_steps}; checkpoint {path}")

    def _next_stop(self, step: int, epoch_end: int) -> int:
        """Where a call to the device that begins at `step` ends at the latest."""
        every = self._every_steps
        return min(epoch_end, (step // every + 1) * every) if every else epoch_end

    def _save(
        self, state: TrainState, checkpoints: Checkpoints | Nowhere, accuracy: float | None = None
    ) -> pathlib.Path | None:
        if not self._is_finite(state.variables):
            why = self._explain(step := int(state.step), state)
            raise diverged(f"parameters are not finite after step {step}: {why}", checkpoints)
        return checkpoints.save(state, accuracy)

    def _explain(self, step: int, state: TrainState) -> str:
        """What of the batch of a step, or of what has become of the parameters since, is not finite."""
        keys, variables = keys_of_step(self.seed, step - 1), jax.device_get(state.variables)
        return explain_step(self.model, variables, self.batch(step - 1), self._preprocess, keys)

    def _records(
        self, measured: tuple[int, Ran], state: TrainState, checkpoints: Checkpoints | Nowhere, callbacks: Callbacks
    ) -> list[dict[str, Any]]:
        first_step, ran = measured
        losses, accuracies = (np.asarray(values) for values in ran.metrics)
        records = []
        for index in range(ran.num_steps):
            step, loss = first_step + index + 1, float(losses[index])
            if not math.isfinite(loss):
                why = self._explain(step, state)
                raise diverged(f"the loss is {loss} at step {step}: {why}", checkpoints)
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
        schedule = self._learning_rate
        return None if schedule is None else rates_of(schedule, self.updates_per_step, self.plan.total_steps)
