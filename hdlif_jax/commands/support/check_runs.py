"""All that can be known of runs before the first one begins: data, networks, rules and devices."""

from __future__ import annotations

import functools
import pathlib
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hdlif_jax.commands.config import DataConfig, TrainConfig
from hdlif_jax.commands.support.cli import console
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.own_process import in_own_process
from hdlif_jax.commands.support.planned import Planned, is_begun

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from hdlif_jax.data import Dataset


def check_runs(planned: Sequence[Planned]) -> None:
    """Checks what has not begun yet, one run of each variant, in a process of its own; writes nothing.

    Raises:
      CommandError: a run could not begin; names its variant and says why.
      Stopped: a signal asked for it.
    """
    new = {run.variant: run.config for run in planned if not is_begun(run.path)}
    if not new:
        return
    console.print(f"checking data, networks and devices of {len(new)} variant{'s' * (len(new) > 1)}")
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(functools.partial(check_all, list(new.items())), pathlib.Path(folder) / "log")


def check_all(configs: Sequence[tuple[str, TrainConfig]]) -> None:
    """Checks configurations by name.

    Raises:
      CommandError: one of them cannot be trained here; has its name.
    """
    from hdlif_jax.commands.support.execution import Execution
    from hdlif_jax.commands.support.runs import load_dataset

    datasets: dict[tuple[DataConfig, int], Dataset] = {}
    mesh = Execution().mesh()
    for name, config in configs:
        try:
            key = config.data, config.model.num_steps
            if key not in datasets:
                datasets[key] = load_dataset(config)
            check(config, datasets[key], mesh)
        except (CommandError, ImportError, TypeError, ValueError) as error:
            raise CommandError(f"{name}: {error}") from error


def check(config: TrainConfig, dataset: Dataset, mesh: Mesh) -> None:
    """Goes through all that a run does before its first update, on shapes alone.

    Args:
      config: of the run.
      dataset: what it learns.
      mesh: the devices.

    Raises:
      CommandError: there is no such run to begin with.
      ValueError: parts that do not go together.
      TypeError: likewise.
    """
    import jax

    from hdlif_jax.commands.make import make_trainer
    from hdlif_jax.commands.support import stages

    def begin() -> None:
        teacher = stages.untrained_teacher(config, dataset.input_shape, dataset.num_classes)
        trainer = make_trainer(config, dataset, mesh, teacher)
        if config.first.preset is not None:
            stages.check_first(config, trainer)
        if teacher is None:  # else that was done just now
            jax.eval_shape(trainer.train_step, trainer.initial_state, trainer.batch(0))

    if config.first.use == "teacher":
        begin()  # a teacher's arrays are constants of the step
    else:
        jax.eval_shape(begin)
