"""A run directory: what a training run leaves behind, and the rules for going back to it."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hdlif_jax.commands.config import SCHEMA, TrainConfig, from_dict, to_dict
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.program import typed
from hdlif_jax.data import DatasetInfo

if TYPE_CHECKING:
    from hdlif_jax.data import Dataset
    from hdlif_jax.nn import Variables

PACKAGES = ("hdlif_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

ROOT = pathlib.Path(__file__).parents[3]  # of a checkout; where it is installed, of all packages

PARTIAL = ".partial"  # end of the name of a file that is being written


class RunDirectory:
    """Names and files of one run.

    Attributes:
      path: the directory.
      checkpoints: folder of the checkpoints.
      metrics: `metrics.jsonl`, one JSON object a line, of kind "step", "coherence" or "epoch".
      curves: `curves.png`.
      start: `start.safetensors`, the weights of a run that began with others than it would draw.
    """

    def __init__(self, path: pathlib.Path, *, may_move: bool = False):
        self.path = pathlib.Path(path)
        self._may_move = may_move
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.curves = self.path / "curves.png"
        self.start = self.path / "start.safetensors"
        self._summary = self.path / "summary.json"
        self._lock = self.path / "lock"

    @classmethod
    def of_now(cls, what: str) -> "RunDirectory":
        """A new one, runs/WHAT-TIME."""
        return cls(pathlib.Path("runs") / f"{what}-{time.strftime('%Y%m%d-%H%M%S')}", may_move=True)

    def claimed(self) -> "RunDirectory":
        """This one; if its name is only that of a second in which another run began, too, one with a number behind."""
        if not self._may_move:
            return self
        path, number = self.path, 1
        while True:
            try:
                path.mkdir(parents=True)
                return RunDirectory(path)
            except FileExistsError:
                number += 1
                path = self.path.with_name(f"{self.path.name}-{number}")

    @property
    def is_finished(self) -> bool:
        """Whether the run wrote its summary, which it does last."""
        return self._summary.exists()

    def check_free(self, config: TrainConfig) -> None:
        """Checks that a new run can begin here.

        Raises:
          CommandError: there is something already.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir() or any(file != self._lock and file.suffix != PARTIAL for file in self.path.iterdir()):
            raise CommandError(self._occupied(config))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the directory this process' own; the lock goes with the process, however it ends.

        Raises:
          CommandError: another process holds it.
        """
        import filelock  # of the extra hdlif_jax[commands], which reading a run does not need

        self.path.mkdir(parents=True, exist_ok=True)
        try:
            lock = filelock.FileLock(self._lock, timeout=0).acquire()
        except filelock.Timeout:
            raise CommandError(
                f"another process is at work in {self.path}; wait until it ends, or choose another directory"
            ) from None
        with lock:
            yield

    def create(
        self,
        config: TrainConfig,
        dataset: "Dataset | None" = None,
        start: "Variables | None" = None,
        init_from: pathlib.Path | None = None,
    ) -> None:
        """Writes config.json, which makes the directory a run, and before it the weights to start with.

        Args:
          config: of the run.
          dataset: what it learns, of which config.json keeps what is to be known without it.
          start: weights to start with; None for those that it draws.
          init_from: where those are from.

        Raises:
          CommandError: there is something already.
        """
        self.check_free(config)
        self.path.mkdir(parents=True, exist_ok=True)
        if start is not None:
            from hdlif_jax.training import save_weights

            save_weights(self.start, start)
        description = {
            "schema": SCHEMA,
            "config": to_dict(config),
            "dataset": None if dataset is None else DatasetInfo.of(dataset).to_dict(),
            "versions": {name: version_of(name) for name in PACKAGES} | {"python": platform.python_version()},
            "git_commit": _git_commit(),
            "command": typed(),
        }
        if init_from is not None:
            description["init_from"] = str(init_from)
        write_json(self.path / "config.json", description)

    def change(self, config: TrainConfig, step: int) -> None:
        """Makes the run one of another configuration from a step on; config.json keeps what was changed where.

        A finished run is then no longer finished: its summary becomes `summary-EPOCHS-epochs.json`.

        Args:
          config: from now on, another in where the data is or in how long to train.
          step: batches that were trained before.
        """
        before = self.config()
        if before == config:
            return
        if before.epochs != config.epochs and self.is_finished:  # first: a kill after it leaves an unfinished run
            os.replace(self._summary, self.path / f"summary-{before.epochs}-epochs.json")
        description = read_json(self.path / "config.json")
        changes = description.setdefault("changes", [])
        for name, old, new in (
            ("epochs", before.epochs, config.epochs),
            ("data.dir", before.data.dir, config.data.dir),
        ):
            if old != new:
                changes.append({"field": name, "from": old, "to": new, "step": step})
        write_json(self.path / "config.json", description | {"config": to_dict(config)})

    def config(self, data_dir: str | None = None) -> TrainConfig:
        """The configuration of the run.

        Args:
          data_dir: where the prepared datasets are now; None for where they were.

        Raises:
          CommandError: there is no readable config.json of this schema.
        """
        try:
            return in_data_dir(from_dict(TrainConfig, self._description()["config"]), data_dir)
        except (KeyError, TypeError, ValueError) as error:
            raise CommandError(f"{self.path / 'config.json'} is not a valid configuration: {error}") from error

    def dataset_info(self) -> DatasetInfo | None:
        """What the run kept of its data; None in a run of an earlier version.

        Raises:
          CommandError: as `config`.
        """
        found = self._description().get("dataset")
        try:
            return None if found is None else DatasetInfo.from_dict(found)
        except (TypeError, ValueError) as error:
            raise CommandError(f"{self.path / 'config.json'}: {error}") from error

    def num_classes(self) -> int | None:
        """K of a run of an earlier version, where it is not the catalogue's; None else.

        Raises:
          CommandError: as `config`.
        """
        found = self._description().get("num_classes")
        if found is not None and (type(found) is not int or found < 1):
            raise CommandError(f"{self.path / 'config.json'} has num_classes {found!r}; expected a number of classes")
        return found

    def _description(self) -> dict[str, Any]:
        file = self.path / "config.json"
        if not file.is_file():
            raise CommandError(f"{self.path} is not a run directory: it has no config.json; name one made by training")
        description = read_json(file)
        if not isinstance(description, dict) or description.get("schema") != SCHEMA:
            found = description.get("schema") if isinstance(description, dict) else None
            raise CommandError(f"{file} has schema {found}, this version reads {SCHEMA}; use the version that wrote it")
        return description

    def append_metrics(self, kind: str, record: dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        with self.metrics.open("a") as file:
            file.write(json.dumps({"kind": kind} | record) + "\n")

    def read_metrics(self, kind: str) -> list[dict[str, Any]]:
        """The records of a kind; a last line that was cut short is left out."""
        if not self.metrics.exists():
            return []
        records = []
        for line in self.metrics.read_text().splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return [record for record in records if record["kind"] == kind]

    def truncate_metrics(self, step: int) -> None:
        """Drops what a killed run logged after the checkpoint of `step`, which will be done again."""
        kinds = ("step", "coherence", "epoch")
        kept = [record for kind in kinds for record in self.read_metrics(kind) if record["step"] <= step > 0]
        kept.sort(key=lambda record: (record["step"], kinds.index(record["kind"])))
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(self.metrics, text)

    def _occupied(self, config: TrainConfig) -> str:
        if not self.path.is_dir():
            return f"{self.path} is a file, not a directory; choose another --out"
        if not (self.path / "config.json").exists():
            return f"{self.path} is not empty and not a run directory; choose another --out"
        if self.config() != config:
            return f"{self.path} belongs to a run with another configuration; choose another --out"
        if self.is_finished:
            return f"{self.path} holds the finished run of this configuration; choose another --out to run it again"
        return f"{self.path} holds an unfinished run of this configuration; continue it with --resume {self.path}"


def in_data_dir(config: TrainConfig, data_dir: str | None) -> TrainConfig:
    """The configuration with its prepared datasets in another directory, if one is given."""
    if data_dir is None:
        return config
    return dataclasses.replace(config, data=dataclasses.replace(config.data, dir=data_dir))


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def read_json(path: pathlib.Path) -> Any:
    """Reads JSON.

    Raises:
      CommandError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is not valid JSON ({error}); restore it or start a new run") from error


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces a file in one step, so that a kill, or another process that does the same, leaves a whole text."""
    partial = path.with_name(f"{path.name}-{socket.gethostname()}-{os.getpid()}{PARTIAL}")
    partial.write_text(text)
    os.replace(partial, path)


def device_name() -> str:
    """The device that computes, for example "cpu" with the processor's name, or the GPU's name."""
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    cpu_info = pathlib.Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in _lines(cpu_info) if line.startswith("model name")]
    return f"cpu ({models[0] if models else platform.machine()}, {os.cpu_count()} cores)"


def _lines(path: pathlib.Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def version_of(package: str) -> str | None:
    """Version of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Commit of the source tree that this runs from; None outside a checkout, or where git is not there."""
    if not (ROOT / ".git").exists():  # installed; a repository around that is somebody else's
        return None
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
