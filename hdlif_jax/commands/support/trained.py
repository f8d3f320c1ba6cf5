"""The finished run of a configuration: found, gone on with, or trained from the start, by the train command."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Sequence

from hdlif_jax.commands.config import SCHEMA, TrainConfig, to_dict
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.run_directory import RunDirectory, write_json

SIGNALLED = 128  # and the signal's number: exit status of a training that a signal stopped


def finished_run(config: TrainConfig, path: pathlib.Path) -> RunDirectory:
    """The finished run of a configuration in a directory, in a process of its own as far as it is not trained yet.

    So each training begins with the memory of a new process, and one that is killed goes on bit for bit.

    Args:
      config: of the run.
      path: its directory.

    Raises:
      CommandError: the directory holds something else, or the training ended with an error, which it has printed.
      Stopped: a signal stopped the training.
    """
    directory = RunDirectory(path)
    if (path / "config.json").is_file():
        if directory.config() != config:
            raise CommandError(f"{path} holds a run of another configuration; choose another folder")
        if directory.is_finished:
            return directory
        start = ["--resume", str(path)]
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        asked = path.with_name(path.name + ".json")
        write_json(asked, {"schema": SCHEMA, "config": to_dict(config)})
        start = ["--config", str(asked), "--out", str(path)]
    status = train(start)
    if status > SIGNALLED or status < 0:
        stopped = status if status > 0 else SIGNALLED - status
        raise Stopped(f"the training in {path} was stopped; the same command goes on with it", stopped)
    if status or not directory.is_finished:
        raise CommandError(f"the training in {path} ended with status {status}; what it says above is to be mended")
    return directory


def train(words: Sequence[str]) -> int:
    """The exit status of the train command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "hdlif_jax.commands.train", *words], check=False).returncode
