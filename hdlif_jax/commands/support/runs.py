"""From a run directory to the network that was trained there."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import hdlif_jax as hd
from hdlif_jax import data
from hdlif_jax.commands import make, registry
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory

if TYPE_CHECKING:
    from hdlif_jax import nn
    from hdlif_jax.training import Checkpoints, TrainState

Which = int | Literal["last", "best"]


class Run(NamedTuple):
    """What a run has learned.

    Attributes:
      model: the network, which holds the checkpoint's parameters and statistics.
      variables: those parameters and statistics.
      config: of the run.
      step: of the checkpoint, in batches.
      info: what it kept of its data; None in a run of an earlier version.
    """

    model: nn.SpikingNetwork
    variables: nn.Variables
    config: TrainConfig
    step: int
    info: data.DatasetInfo | None = None


def load_run(directory: pathlib.Path | str, *, step: Which = "last", data_dir: str | None = None) -> Run:
    """The network of a checkpoint; the dataset need not be there.

    Args:
      directory: of the run.
      step: the newest checkpoint, that with the best validation accuracy, or that of a step.
      data_dir: where prepared datasets are now, for the configuration; None for where they were.

    Raises:
      CommandError: it is not a run directory, or its configuration cannot be read.
      CheckpointError: there is no such checkpoint, or it is damaged.
      ValueError: `step` is neither a number nor one of the names.
    """
    run = RunDirectory(pathlib.Path(directory))
    config = run.config(data_dir)
    info = run.dataset_info()
    spec = input_spec(config) if info is None else info.spec
    num_classes = run.num_classes() or spec.num_classes  # of a part of a dataset there may be fewer

    def make_model() -> nn.SpikingNetwork:
        return make.make_model(config.model, spec.shape, num_classes, config.seed)

    checkpoints = hd.training.Checkpoints(run.checkpoints, reads_only=True)
    try:
        state = checkpoints.load(_blank_state(config, make_model), _chosen(checkpoints, step))
    finally:
        checkpoints.close()
    from flax import nnx

    model = nnx.eval_shape(make_model)  # the checkpoint has its arrays, and to draw others takes seconds
    return Run(hd.nn.with_variables(model, state.variables), state.variables, config, int(state.step), info)


def _chosen(checkpoints: Checkpoints, step: Which) -> int:
    if isinstance(step, int):
        return step
    named = {"last": checkpoints.latest, "best": checkpoints.best}
    if step not in named:
        raise ValueError(f"step={step!r} is unknown; choose 'last', 'best' or the number of a step")
    return named[step]()


def input_spec(config: TrainConfig) -> data.InputSpec:
    """What the network of a configuration reads, without its dataset.

    Raises:
      CommandError: that of own data, which only the data itself or a run of it knows.
    """
    if config.data.is_own:
        raise CommandError(f"what {config.data.dir} holds is known of a run of it alone; name one")
    return registry.DATASETS[config.data.name].input_spec(config.data.frame_size, image_size(config))


def image_size(config: TrainConfig) -> int:
    """Height and width that images of varying size are cut to."""
    return data.IMAGE_SIZE if config.data.image_size is None else config.data.image_size


def load_dataset(config: TrainConfig, info: data.DatasetInfo | None = None) -> data.Dataset:
    """The dataset of a configuration.

    Args:
      config: of the run.
      info: what the run kept of its data, whose statistics its own data then has; None for a run that begins.

    Raises:
      ValueError: it is not prepared or cannot be read; says which files to get and what to run.
    """
    if config.data.is_own:
        dataset = registry.OWN_DATA[config.data.name](config.data, config.model.num_steps, info)
        config.check_kind(is_sequence=len(dataset.train.shape) == 5)
        return dataset
    return data.open_dataset(
        config.data.name,
        config.data.dir,
        num_steps=config.model.num_steps,
        slicing=config.data.slicing,
        frame_size=config.data.frame_size,
        image_size=image_size(config),
    )


def _blank_state(config: TrainConfig, make_model: Callable[[], nn.SpikingNetwork]) -> TrainState:
    """A state of shapes and types alone; how fast the run learned changes neither."""
    import jax
    import optax

    def start() -> TrainState:
        model = make_model()
        network = hd.nn.training_form(model)
        optimizer = make.make_optimizer(config.optimizer, optax.constant_schedule(0.0), network)
        return hd.training.initial_state(model, optimizer)

    blank: TrainState = jax.eval_shape(start)
    return blank
