"""Trains a spiking network: `python -m experiments.train [PRESET] [--field.name value ...]`."""

import contextlib
import dataclasses
import difflib
import functools
import pathlib
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

import tyro

from experiments.cli import CommandError, command, console, one_line_errors
from experiments.coherence import coherence_observer
from experiments.plots import plot_curves
from experiments.presets import PRESETS
from experiments.progress import Progress
from experiments.run_directory import RunDirectory, device_name, write_json
from hdlif_jax import data
from hdlif_jax.training import Checkpoints, Events, TrainConfig, Trainer, TrainState

DEFAULT_PRESET = "digits"
FRAME_SIZES = {"dvs-cifar10": 48}  # as in the literature; the sensor has 128×128 pixels


@dataclasses.dataclass(frozen=True)
class Arguments(TrainConfig):
    """A configuration and where to put its results."""

    preset: tyro.conf.Suppress[str] = DEFAULT_PRESET
    out: pathlib.Path | None = None
    """Run directory; runs/PRESET-TIME by default."""

    @property
    def config(self) -> TrainConfig:
        """The configuration alone."""
        return TrainConfig(**{name: value for name, value in shallow(self).items() if name != "out"})


def load_dataset(config: TrainConfig) -> data.Dataset:
    """The dataset of a configuration.

    Raises:
      ValueError: it is not prepared; says which files to get and what to run.
    """
    if config.data.name == "digits":
        return data.digits()
    frame_size = config.data.frame_size or FRAME_SIZES.get(config.data.name)
    return data.open_prepared(
        config.data.name,
        config.data.dir,
        num_steps=config.model.num_steps,
        slicing=config.data.slicing,
        frame_size=frame_size,
        image_size=config.data.image_size,
    )


def parse_arguments(argv: list[str]) -> tuple[RunDirectory, TrainConfig, bool]:
    """The run directory, its configuration, and whether the run goes on from a checkpoint."""
    if "--resume" in argv:
        if len(argv) != 2 or argv[0] != "--resume":
            raise CommandError("--resume DIR takes its whole configuration from DIR; leave out the other arguments")
        directory = RunDirectory(pathlib.Path(argv[1]))
        return directory, directory.config(), True
    if argv in (["-h"], ["--help"]):
        print_presets()
    preset, options = (DEFAULT_PRESET, argv) if not argv or argv[0].startswith("-") else (argv[0], argv[1:])
    if preset not in PRESETS:
        raise CommandError(
            f"unknown preset {preset!r}; {did_you_mean(preset, PRESETS)}the presets are {', '.join(PRESETS)}"
        )
    default = Arguments(**shallow(PRESETS[preset].config))
    with one_line_errors():
        arguments, unknown = tyro.cli(
            Arguments,
            prog=f"python -m experiments.train {preset}",
            description=PRESETS[preset].description,
            args=options,
            default=default,
            config=(tyro.conf.AvoidSubcommands,),
            return_unknown_args=True,
        )
    if unknown:
        names = option_names(default)
        raise CommandError(
            f"unknown option {unknown[0]}; {did_you_mean(unknown[0], names)}"
            f"`python -m experiments.train {preset} --help` explains: {' '.join(names)}"
        )
    out = arguments.out or pathlib.Path("runs") / f"{arguments.preset}-{time.strftime('%Y%m%d-%H%M%S')}"
    return RunDirectory(out), arguments.config, False


def print_presets() -> None:
    """Prints the names of the presets; the fields of one follow from tyro."""
    print("usage: python -m experiments.train [PRESET] [--field.name value ...]")
    print("       python -m experiments.train --resume DIR\n")
    print(f"presets (without one: {DEFAULT_PRESET}):")
    for name, preset in PRESETS.items():
        print(f"  {name}\n      {preset.description}")
        if preset.paper is not None:
            print(f"      {preset.paper}")
    print(f"\nfields, with the defaults of {DEFAULT_PRESET}; `PRESET --help` shows those of a preset:\n")


def option_names(config: Any, prefix: str = "--") -> list[str]:
    """The command line's name of every field."""
    names = []
    for name, value in shallow(config).items():
        option = prefix + name.replace("_", "-")
        names += option_names(value, option + ".") if dataclasses.is_dataclass(value) else [option]
    return names


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word, as the start of a sentence; empty where none is near."""
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {nearest[0]}? " if nearest else ""


def shallow(config: Any) -> dict[str, Any]:
    """A dataclass' own fields."""
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


@contextlib.contextmanager
def stop_requests():
    """Yields a function that tells whether SIGINT came; a second SIGINT ends the process as usual."""
    requested = False
    previous = signal.getsignal(signal.SIGINT)

    def handler(*_: Any) -> None:
        nonlocal requested
        requested = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: requested
    finally:
        signal.signal(signal.SIGINT, previous)


def summarize(trainer: Trainer, state: TrainState, directory: RunDirectory, train_seconds: float) -> dict[str, Any]:
    """The figures of a finished run."""
    epochs = directory.read_metrics("epoch")
    accuracy_per_step = trainer.accuracy_per_step(state, trainer.dataset.test)
    validation = epochs[-1]["validation_accuracy_per_step"]
    images = trainer.total_steps * trainer.config.batch_size
    return {
        "preset": trainer.config.preset,
        "dataset": trainer.dataset.name,
        "test_accuracy": accuracy_per_step[-1],
        "accuracy_per_step": accuracy_per_step,
        "validation_accuracy": validation[-1] if validation else None,
        "selection": "last epoch",
        "epochs": trainer.config.epochs,
        "train_seconds": round(train_seconds, 3),
        "images_per_second": round(images / train_seconds, 1),
        "parameters": trainer.num_parameters,
        "device": device_name(),
    }


def run(directory: RunDirectory, config: TrainConfig, resumed: bool) -> None:
    """Trains, or goes on training, and writes the results."""
    trainer = Trainer(config, load_dataset(config))
    if not resumed:
        directory.create(config)
    checkpoints = Checkpoints(directory.checkpoints)
    state = trainer.initial_state
    if resumed and checkpoints.steps():
        state = checkpoints.load(trainer.initial_state)
        console.print(f"continuing {directory.path} at step {int(state.step)} of {trainer.total_steps}")
    first_step = int(state.step)
    directory.truncate_metrics(first_step)
    earlier_seconds = sum(record["seconds"] for record in directory.read_metrics("epoch"))
    console.print(
        f"{config.preset}: {trainer.num_parameters:,} parameters, {trainer.train.shape[0]:,} training, "
        f"{trainer.validation.shape[0]:,} validation and {trainer.dataset.test.shape[0]:,} test images, "
        f"T = {config.model.num_steps}, on {device_name()}"
    )
    with (
        stop_requests() as should_stop,
        Progress(trainer.total_steps, first_step, config.batch_size, config.epochs) as progress,
    ):
        epoch_started = time.perf_counter()

        def on_step(record: dict[str, Any]) -> None:
            directory.append_metrics("step", record)
            progress.step(record)

        def on_epoch(record: dict[str, Any]) -> None:
            nonlocal epoch_started
            now = time.perf_counter()
            directory.append_metrics("epoch", record | {"seconds": now - epoch_started})
            epoch_started = now
            progress.epoch(record)

        on_state = coherence_observer(trainer, functools.partial(directory.append_metrics, "coherence"))
        events = Events(on_step, on_epoch, on_state, progress.warning, should_stop)
        started = time.perf_counter()
        state = trainer.fit(state, checkpoints, events)
        train_seconds = earlier_seconds + time.perf_counter() - started
    checkpoints.close()
    summary = summarize(trainer, state, directory, train_seconds)
    plot_curves(
        directory.curves,
        title(summary),
        directory.read_metrics("epoch"),
        summary["accuracy_per_step"],
        directory.read_metrics("coherence"),
    )
    write_json(directory.path / "summary.json", summary)
    report(summary, directory)


def title(summary: dict[str, Any]) -> str:
    """Headline of the curves."""
    return f"{summary['preset']}: test accuracy {100 * summary['test_accuracy']:.2f} % after {summary['epochs']} epochs"


def report(summary: dict[str, Any], directory: RunDirectory) -> None:
    """Prints the figures of a finished run."""
    per_step = " ".join(f"{accuracy:.4f}" for accuracy in summary["accuracy_per_step"])
    console.print(
        f"test accuracy {summary['test_accuracy']:.4f} (last epoch), after each time-step: {per_step}\n"
        f"{summary['epochs']} epochs in {summary['train_seconds']:.1f} s, "
        f"{summary['images_per_second']:,.0f} images/s\nresults in {directory.path}"
    )


@command
def main() -> None:
    """Entry point."""
    directory, config, resumed = parse_arguments(sys.argv[1:])
    if resumed and directory.is_finished:
        console.print(f"{directory.path} is finished: its {config.epochs} epochs are done; see summary.json")
        return
    run(directory, config, resumed)


if __name__ == "__main__":
    main()
