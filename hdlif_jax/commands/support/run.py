"""One training run from configuration to results."""

import contextlib
import functools
import pathlib
import shlex
import time
from collections.abc import Callable
from typing import Any

from hdlif_jax.analysis.separability import coherence_observer
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.support import stages
from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.execution import Execution
from hdlif_jax.commands.support.inputs import comparison_batch
from hdlif_jax.commands.support.observers import Clock, Profile, TensorBoard, peak_memory
from hdlif_jax.commands.support.program import program
from hdlif_jax.commands.support.progress import Progress, phase
from hdlif_jax.commands.support.run_directory import RunDirectory, device_name, read_json, write_json
from hdlif_jax.commands.support.runs import load_dataset
from hdlif_jax.commands.support.start import starting_weights
from hdlif_jax.commands.support.stopping import stop_requests
from hdlif_jax.nn import SpikingNetwork
from hdlif_jax.training import (
    Callbacks,
    Checkpoints,
    Trainer,
    load_weights,
    save_weights,
)
from hdlif_jax.training.sharding import is_primary, wait_for_all


def summarize(
    config: TrainConfig,
    trainer: Trainer,
    accuracy_per_step: list[float],
    directory: RunDirectory,
    train_seconds: float,
) -> dict[str, Any]:
    """The figures of a finished run."""
    epochs = directory.read_metrics("epoch")
    validation = epochs[-1]["validation_accuracy_per_step"]
    images = trainer.plan.total_steps * config.batch_size
    return {
        "preset": config.preset,
        "dataset": trainer.dataset.name,
        "test_accuracy": accuracy_per_step[-1],
        "accuracy_per_step": accuracy_per_step,
        "validation_accuracy": validation[-1] if validation else None,
        "selection": "last epoch",
        "recalibrated": epochs[-1].get("recalibrated", False),  # earlier versions did not
        "epochs": config.epochs,
        "train_seconds": round(train_seconds, 3),
        "images_per_second": round(images / train_seconds, 1),
        "parameters": trainer.num_parameters,
        "device": device_name(),
    }


def run(
    directory: RunDirectory,
    config: TrainConfig,
    resumed: bool,
    execution: Execution = Execution(),
    init_from: pathlib.Path | None = None,
    whole: RunDirectory | None = None,
) -> None:
    """Trains, or goes on training, and writes the results.

    Args:
      directory: of the run.
      config: of the run; of one that goes on, with the changes that it goes on with.
      resumed: whether it goes on.
      execution: how it is computed.
      init_from: a run or a file of weights to start with.
      whole: of the run that begins with the result of this one; None for none.

    Raises:
      CommandError: another process trains there, or a file could not be written.
      ValueError: weights of which no layer fits.
      Stopped: a signal asked for it; a checkpoint was written.
    """
    with phase(f"reading {config.data.name}"):
        info = directory.dataset_info() if resumed else None
        dataset = load_dataset(config, info)
    if info is not None:
        info.check_same(dataset)
    if config.data.is_own:
        console.print(f"{config.data.dir}: {dataset.facts}", markup=False)
    with phase("building the network"):
        begun = directory if resumed else None
        teacher = stages.untrained_teacher(config, dataset.input_shape, dataset.num_classes, begun)
        trainer = make_trainer(config, dataset, execution.mesh(), teacher)
        if config.first.preset is not None and not resumed:
            stages.check_first(config, trainer)
    if not resumed and is_primary():
        directory = directory.claimed()
        directory.check_free(config)
    start = None if init_from is None else starting_weights(trainer.model, init_from)
    with contextlib.ExitStack() as stack:
        if is_primary():
            stack.enter_context(directory.locked())
            if not resumed:
                directory.create(config, trainer.dataset, start, init_from)
        wait_for_all("run directory")
        if config.first.preset is not None:
            train_first(directory, config, execution, trainer.model)
            if teacher is not None:
                trainer = make_trainer(config, dataset, execution.mesh(), stages.trained_teacher(config, directory))
        checkpoints = stack.enter_context(
            contextlib.closing(Checkpoints(directory.checkpoints, config.keep_checkpoints))
        )
        again = resume_command(whole or directory, execution)
        try:
            train(config, trainer, directory, checkpoints, resumed, execution, more=whole is not None)
        except OSError as error:
            raise CommandError(
                f"{error.filename or directory.path}: {error.strerror or error}; mend that, then go on with {again}"
            ) from error
        except Stopped as stop:
            raise Stopped(f"{stop}; go on with {again}", stop.status) from stop


def train_first(directory: RunDirectory, config: TrainConfig, execution: Execution, model: SpikingNetwork) -> None:
    """Trains what a run begins with, as far as that is not done, and keeps the weights to start with."""
    if is_primary():
        stages.prepare_first(directory, config)
    wait_for_all("first stage prepared")
    first, first_config = stages.first_directory(directory), stages.begun_config(directory, config)
    begun, finished = stages.is_begun(first), first.is_finished
    wait_for_all("first stage seen")  # by all processes before any changes it
    if not finished:
        console.print(f"first, in {first.path}: {first_config.preset}")
        run(first, first_config, begun, execution, whole=directory)
    if config.first.use == "weights" and is_primary() and not directory.start.exists():
        save_weights(directory.start, starting_weights(model, first.path))
    wait_for_all("first weights")


def resume_command(directory: RunDirectory, execution: Execution) -> str:
    """What to type to go on with a run, computed as it was."""
    return f"{program('train')} {shlex.join(['--resume', str(directory.path), *execution.words()])}"


def train(
    config: TrainConfig,
    trainer: Trainer,
    directory: RunDirectory,
    checkpoints: Checkpoints,
    resumed: bool,
    execution: Execution,
    more: bool = False,
) -> None:
    """Trains in a directory that is this run's own; `more` is trained afterwards."""
    plan, primary = trainer.plan, is_primary()
    state = trainer.initial_state
    if directory.start.exists():
        state = trainer.start_with(load_weights(directory.start, trainer.model))
    if resumed and checkpoints.steps():
        state, problems = checkpoints.load_newest_intact(trainer.initial_state)
        for problem in problems:
            console.print(f"[yellow]warning:[/yellow] {problem}")
        if int(state.step) > plan.total_steps:
            raise CommandError(
                f"{directory.path} has done {int(state.step) / plan.steps_per_epoch:g} epochs; ask for more than "
                f"--epochs {config.epochs}"
            )
        console.print(f"continuing {directory.path} at step {int(state.step)} of {plan.total_steps}")
    first_step = int(state.step)
    if primary and resumed:
        directory.change(config, first_step)
    if primary:
        directory.truncate_metrics(first_step)
    wait_for_all("metrics")
    earlier_seconds = sum(record["seconds"] for record in directory.read_metrics("epoch"))
    first_epoch = first_step // plan.steps_per_epoch + 1
    this_epoch = [record for record in directory.read_metrics("step") if record["epoch"] == first_epoch]
    write = directory.append_metrics if primary else lambda kind, record: None
    console.print(
        f"{config.title}: {trainer.num_parameters:,} parameters, {plan.train.shape[0]:,} training, "
        f"{plan.validation.shape[0]:,} validation and {plan.dataset.test.shape[0]:,} test images, "
        f"T = {config.model.num_steps}, on {device_name()}"
        + (f", {trainer.mesh.size} devices" if trainer.mesh.size > 1 else "")
    )
    with contextlib.ExitStack() as stack:
        should_stop = stack.enter_context(stop_requests(more))
        progress = stack.enter_context(Progress(plan.total_steps, first_step, config.batch_size, config.epochs))
        clock = Clock(config.batch_size)
        on_step: list[Callable[..., None]] = [functools.partial(write, "step"), progress.step]
        on_epoch: list[Callable[..., None]] = [progress.epoch, clock.epoch]
        on_state = coherence_observers(config, trainer, functools.partial(write, "coherence"))
        if execution.profile:
            profile = stack.enter_context(contextlib.closing(Profile(directory.path / "profile")))
            on_state.append(profile.state)
        if execution.tensorboard and primary:
            board = stack.enter_context(contextlib.closing(TensorBoard(directory.path / "tensorboard", first_step)))
            on_step.append(board.step)
            on_epoch.append(board.epoch)
        epoch_started = time.perf_counter()

        def log_epoch(record: dict[str, Any]) -> None:
            nonlocal epoch_started
            now = time.perf_counter()
            write("epoch", record | {"seconds": now - epoch_started})
            epoch_started = now

        callbacks = Callbacks(
            each(on_step), each([log_epoch, *on_epoch]), each(on_state), progress.warning, should_stop
        )
        started = time.perf_counter()
        state = trainer.fit(state, checkpoints, callbacks, this_epoch).state
        train_seconds = earlier_seconds + time.perf_counter() - started
    with phase(f"testing on {plan.dataset.test.shape[0]:,} images"):
        accuracy_per_step = trainer.accuracy_per_step(state, plan.dataset.test)
    if not primary:
        return
    summary = summarize(config, trainer, accuracy_per_step, directory, train_seconds)
    if config.first.preset is not None:
        first = read_json(stages.first_directory(directory).path / "summary.json")
        summary["first"] = {name: first[name] for name in ("preset", "epochs", "test_accuracy", "train_seconds")}
    summary |= {"devices": trainer.mesh.size, "step_milliseconds": clock.step_milliseconds} | peak_memory()
    from hdlif_jax.commands.support.plots import plot_curves

    plot_curves(
        directory.curves,
        title(config.title, summary),
        directory.read_metrics("epoch"),
        summary["accuracy_per_step"],
        plan.dataset.test.shape[0],
        directory.read_metrics("coherence"),
    )
    write_json(directory.path / "summary.json", summary)
    report(summary, directory)


def coherence_observers(
    config: TrainConfig, trainer: Trainer, write: Callable[[dict[str, Any]], None]
) -> list[Callable[..., None]]:
    """What compares the online with the STBP gradient every so many batches; nothing where it was not asked for."""
    if not config.coherence_every:
        return []
    steps_per_epoch = trainer.plan.steps_per_epoch
    batch = comparison_batch(trainer)
    return [
        coherence_observer(
            trainer.model, trainer.loss, batch, write, every=config.coherence_every, steps_per_epoch=steps_per_epoch
        )
    ]


def each(functions: list[Callable[..., None]]) -> Callable[..., None]:
    """One function that calls all of them."""

    def call(*arguments: Any) -> None:
        for function in functions:
            function(*arguments)

    return call


def title(name: str, summary: dict[str, Any]) -> str:
    """Headline of the curves."""
    return f"{name}: test accuracy {100 * summary['test_accuracy']:.2f} % after {summary['epochs']} epochs"


def report(summary: dict[str, Any], directory: RunDirectory) -> None:
    """Prints the figures of a finished run."""
    per_step = " ".join(f"{accuracy:.4f}" for accuracy in summary["accuracy_per_step"])
    milliseconds = f"{summary['step_milliseconds']:.1f} ms" if summary["step_milliseconds"] else "too few to time"
    console.print(
        f"test accuracy {summary['test_accuracy']:.4f} (last epoch{', recalibrated' * summary['recalibrated']}), after "
        f"each time-step: {per_step}\n"
        f"{summary['epochs']} epochs in {summary['train_seconds']:.1f} s, "
        f"{summary['images_per_second']:,.0f} images/s, a step in {milliseconds}, "
        f"at most {summary['peak_memory_mb']:,.0f} MB of the {summary['peak_memory_of']}'s memory\n"
        f"results in {directory.path}"
    )
