"""A run that begins with the result of another: the first run, complete and of its own, in DIR/first."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import hdlif_jax as hd
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import DataConfig, FirstConfig, ModelConfig, TrainConfig
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.cli import where_presets_are
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.run_directory import RunDirectory, in_data_dir
from hdlif_jax.commands.support.runs import load_run

if TYPE_CHECKING:
    from hdlif_jax import learning, nn
    from hdlif_jax.training import Trainer

DATA = (  # what both stages share: the dataset and its splits, not what augments it or becomes of an image
    "name", "dir", "validation_fraction", "feed", "resident_limit_gib", "workers", "slicing", "frame_size",
    "image_size",
)  # fmt: skip
SIZES = ("width", "widths")


def first_config(config: TrainConfig) -> TrainConfig:
    """The configuration of the run that comes first, of a configuration that names one.

    It is that of the preset, by the same recipe where there is one, with the data, the seed and the width of the whole
    run. A finished run is as it was.

    Raises:
      CommandError: there is no such preset or finished run, or it is no teacher where one is needed.
    """
    stage = _of_preset(config) if config.first.preset in PRESETS else _finished(config.first).config()
    if config.first.use == "teacher" and registry.NEURONS[stage.model.neuron].has_spikes:
        raise CommandError(
            f"first.preset={config.first.preset!r} has spikes (model.neuron={stage.model.neuron}), and a teacher has "
            "none; name a preset or run with model.neuron=relu, such as digits-ltl-teacher"
        )
    return stage


def _of_preset(config: TrainConfig) -> TrainConfig:
    first = config.first
    assert first.preset is not None
    preset = PRESETS[first.preset]
    chosen = preset.config if preset.common is None else preset.recipe(config.recipe)
    model, data = chosen.model, chosen.data
    architectures = [registry.NETWORKS[part.architecture] for part in (config.model, model)]
    if architectures[0].size == architectures[1].size:
        model = _with(model, config.model, SIZES)
    if first.num_steps is not None:
        model = dataclasses.replace(model, num_steps=first.num_steps)
    return dataclasses.replace(
        chosen,
        epochs=first.epochs or chosen.epochs,
        seed=config.seed,
        model=model,
        data=_with(data, config.data, DATA),
    )


def prepare_first(directory: RunDirectory, config: TrainConfig) -> None:
    """Copies a finished run to DIR/first, and clears away what a kill left there that is not a run yet.

    Args:
      directory: of the whole run, which no other process writes to.
      config: of the whole run.

    Raises:
      CommandError: there is no such preset or finished run.
    """
    first = first_directory(directory)
    if is_begun(first):
        return
    copied = directory.path / "first.partial"
    for path in (first.path, copied):
        shutil.rmtree(path, ignore_errors=True)
    if config.first.preset not in PRESETS:
        shutil.copytree(_finished(config.first).path, copied, ignore=shutil.ignore_patterns("lock"))
        copied.rename(first.path)


def first_directory(directory: RunDirectory) -> RunDirectory:
    """DIR/first of a whole run."""
    return RunDirectory(directory.path / "first")


def begun_config(directory: RunDirectory, config: TrainConfig) -> TrainConfig:
    """The configuration of DIR/first: as it was begun, or as it will be."""
    first = first_directory(directory)
    return in_data_dir(first.config() if is_begun(first) else first_config(config), config.data.dir)


def untrained_teacher(
    config: TrainConfig, input_shape: tuple[int, ...], num_classes: int, directory: RunDirectory | None = None
) -> learning.Teacher | None:
    """A teacher that has learned nothing, for what does not depend on what it knows; None where a run has none.

    Args:
      config: of the whole run.
      input_shape: of one input at one time-step.
      num_classes: width of the output.
      directory: of a run that has begun, whose teacher is the one in DIR/first; None for one that has not.

    Raises:
      CommandError: there is no such preset or finished run.
    """
    if config.first.use != "teacher":
        return None
    stage = first_config(config) if directory is None else begun_config(directory, config)
    model = make.make_model(stage.model, input_shape, num_classes, stage.seed)
    return hd.learning.Teacher(model, hd.nn.variables_of(model))


def trained_teacher(config: TrainConfig, directory: RunDirectory) -> learning.Teacher | None:
    """The network of DIR/first as a teacher; None where a run has none."""
    if config.first.use != "teacher":
        return None
    run = load_run(first_directory(directory).path)
    return hd.learning.Teacher(run.model, run.variables)


def check_first(config: TrainConfig, trainer: Trainer) -> None:
    """Checks before anything is trained that a run can begin with the result of the run that comes first.

    Args:
      config: of the whole run.
      trainer: of its main part, with a teacher that has learned nothing if it has one.

    Raises:
      CommandError: there is no such preset or finished run.
      ValueError: no layer fits, a teacher has other layers, or a network cannot be built.
    """
    import jax

    if config.first.use == "teacher":
        jax.eval_shape(trainer.train_step, trainer.initial_state, trainer.batch(0))
        return
    stage = first_config(config)

    def start() -> nn.Variables:
        model = make.make_model(stage.model, trainer.model.input_shape, trainer.model.num_classes, stage.seed)
        return hd.training.transfer(hd.training.by_name(model), trainer.model).variables

    jax.eval_shape(start)


def is_begun(directory: RunDirectory) -> bool:
    """Whether a directory is a run's."""
    return (directory.path / "config.json").is_file()


def _finished(first: FirstConfig) -> RunDirectory:
    assert first.preset is not None
    directory = RunDirectory(pathlib.Path(first.preset))
    if not is_begun(directory):
        raise CommandError(
            f"first.preset={first.preset!r} is neither a preset nor a run directory; "
            f"{did_you_mean(first.preset, PRESETS)}{where_presets_are()}"
        )
    if not directory.is_finished:
        raise CommandError(f"{directory.path} is not finished; go on with it: --resume {directory.path}")
    if first.epochs is not None or first.num_steps is not None:
        raise CommandError(
            f"{directory.path} is finished and is taken as it is; leave out first.epochs and first.num_steps"
        )
    return directory


def _with(part: Any, other: DataConfig | ModelConfig, names: tuple[str, ...]) -> Any:
    return dataclasses.replace(part, **{name: getattr(other, name) for name in names})
