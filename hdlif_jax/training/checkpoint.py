"""Checkpoints that load into exactly the run they came from, or say why not."""

import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.checks import Count, check_arguments
from hdlif_jax.training.sharding import is_primary, wait_for_all
from hdlif_jax.training.steps import TrainState

CHECKSUMS = "checksums"  # folder beside the checkpoints: one file of digests a step, written when the step is complete
DAMAGED = "damaged"  # folder beside the checkpoints: those that were skipped, for whoever wants to look
SPARE_BYTES = 2**20  # of the disk, for what a checkpoint and the logs need beside the arrays
ACCURACY = "validation_accuracy"  # the metric that the best checkpoint is chosen by


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, of another model, or that could not be written."""


class DamagedCheckpoint(CheckpointError):  # noqa: N818 - named for what it is
    """A checkpoint whose files are not those that were written."""


class Checkpoints:
    """The checkpoints of one run, by step; the newest few and the best are kept.

    All processes of a distributed run call the same methods; they share the directory.

    Args:
      directory: where they are; made if need be.
      keep: how many of the newest; the one with the best accuracy is kept besides.
      reads_only: leaves alone what a process that is training there has begun to write.

    Raises:
      DamagedCheckpoint: an accuracy cannot be read, and what is only read cannot be put aside.
    """

    @check_arguments
    def __init__(self, directory: pathlib.Path, keep: Count = 2, *, reads_only: bool = False):
        from orbax.checkpoint import v1 as ocp  # not with the module: it takes a second, and arrays alone need none

        self.directory = pathlib.Path(directory).absolute()
        self._checksums = self.directory.parent / CHECKSUMS
        if not reads_only:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._checksums.mkdir(exist_ok=True)
        self._check_accuracies(reads_only)
        policies = ocp.training.preservation_policies
        newest = policies.LatestN(keep)
        best = policies.BestN(
            get_metric_fn=lambda metrics: metrics[ACCURACY], n=1, keep_checkpoints_without_metrics=False
        )
        self._checkpointer = ocp.training.Checkpointer(
            self.directory,
            preservation_policy=policies.AnyPreservationPolicy([newest, best]),
            cleanup_tmp_directories=not reads_only,
        )
        self._finisher = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._pending: tuple[int, concurrent.futures.Future[None]] | None = None

    def save(self, state: TrainState, accuracy: float | None = None) -> pathlib.Path:
        """Begins to write a checkpoint, atomically and in the background; `wait` waits for it.

        Args:
          state: what to write; its arrays may be given away as soon as this returns.
          accuracy: of the validation split, to choose the best checkpoint by.

        Returns:
          The folder that it will be in.

        Raises:
          CheckpointError: the checkpoint before this could not be written, or there is no room for this one.
        """
        self.wait()
        step = int(state.step)
        if step in self.steps():
            return self._path(step)
        self._check_space(step, state)
        # A copy on the device, because training goes on in place while this is being written.
        saved = jax.tree.map(jnp.copy, _to_saved(state))
        metrics = None if accuracy is None else {ACCURACY: accuracy}
        with self._writing(step), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            response = self._checkpointer.save_checkpointables_async(
                step, {"state": saved}, force=True, metrics=metrics
            )
        self._pending = step, self._finisher.submit(self._finish, step, response)
        return self._path(step)

    def wait(self) -> None:
        """Waits for what is being written.

        Raises:
          CheckpointError: it could not be written; says which checkpoint is the last good one.
        """
        if self._pending is not None:
            (step, pending), self._pending = self._pending, None
            with self._writing(step):
                pending.result()

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, rising."""
        known = sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)
        return [step for step in known if self._path(step).is_dir()]

    def latest(self) -> int:
        """The newest step.

        Raises:
          CheckpointError: there is none.
        """
        steps = self.steps()
        if not steps:
            raise CheckpointError(f"{self.directory} holds no checkpoint; start the run again without --resume")
        return steps[-1]

    def best(self) -> int:
        """The step with the highest validation accuracy, of those that are kept; the newest of equals.

        Raises:
          CheckpointError: no checkpoint has an accuracy.
        """
        rated = [
            (checkpoint.metrics[ACCURACY], checkpoint.step)
            for checkpoint in self._checkpointer.checkpoints
            if checkpoint.metrics and self._path(checkpoint.step).is_dir()
        ]
        if not rated:
            raise CheckpointError(
                f"{self.directory} holds no checkpoint with a validation accuracy; use the last, or train with a "
                "validation split"
            )
        return int(max(rated)[1])

    def load(self, like: TrainState, step: int | None = None) -> TrainState:
        """Reads a checkpoint.

        Args:
          like: a state of the same model and optimiser, for structure, shapes, types and devices; of shapes alone, as
        `jax.eval_shape` gives it, for the first device.
          step: which; the newest by default.

        Raises:
          DamagedCheckpoint: it is damaged.
          CheckpointError: there is none, or it belongs to another model.
        """
        self.wait()
        step = self.latest() if step is None else step
        path = self._path(step)
        self._verify(path, step)
        found = self._read(path, step, lambda: self._checkpointer.checkpointables_metadata(step).metadata["state"])
        difference = _first_difference(_shapes(found), _shapes(_to_saved(like)))
        if difference:
            raise CheckpointError(
                f"{path} belongs to another model: {difference}; use the configuration it was made with"
            )
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding or here)
            for name, leaf in _to_saved(like).items()
        }
        saved = self._read(
            path, step, lambda: self._checkpointer.load_checkpointables(step, {"state": abstract})["state"]
        )
        state: TrainState = jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in _to_saved(like)])
        return state

    def load_newest_intact(self, like: TrainState) -> tuple[TrainState, list[str]]:
        """Reads the newest checkpoint that is whole, and moves damaged ones out of the way, into `damaged/`.

        Args:
          like: as `load`.

        Returns:
          The state, and one line for each checkpoint that was skipped.

        Raises:
          CheckpointError: none is whole, or they belong to another model. Then nothing was moved.
        """
        self.wait()
        skipped: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = self.load(like, step)
            except DamagedCheckpoint as error:
                skipped[step] = str(error)
                continue
            for damaged in skipped:
                self._set_aside(damaged)
            return state, [f"{problem}; going on from the checkpoint of step {step}" for problem in skipped.values()]
        problems = "; ".join(skipped.values()) or f"{self.directory} holds no checkpoint"
        raise CheckpointError(f"{problems}; no checkpoint is whole: start the run again in another directory")

    def close(self) -> None:
        """Waits for what is being written; raises as `wait`."""
        try:
            self.wait()
        finally:
            self._finisher.shutdown()
            with contextlib.suppress(Exception):  # it would repeat what `wait` raised
                self._checkpointer.close()

    def _path(self, step: int) -> pathlib.Path:
        return self.directory / str(step)

    def _digest_file(self, step: int) -> pathlib.Path:
        return self._checksums / f"{step}.json"

    def _finish(self, step: int, response: Any) -> None:
        response.result()
        if not is_primary():
            return
        partial = self._digest_file(step).with_suffix(".partial")
        partial.write_text(json.dumps(_digests(self._path(step)), indent=1))
        partial.replace(self._digest_file(step))
        for stale in self._checksums.glob("*.json"):
            if stale.stem.isdigit() and not self._path(int(stale.stem)).is_dir():  # others are a system's, such as ._5
                stale.unlink()

    def _check_space(self, step: int, state: TrainState) -> None:
        with self._writing(step):
            needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
            free = shutil.disk_usage(self.directory).free
            if free < needed + SPARE_BYTES:
                raise OSError(f"it needs {(needed + SPARE_BYTES) / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")

    def _writing(self, step: int) -> contextlib.AbstractContextManager[None]:
        def message(error: Exception) -> str:
            good = [other for other in self.steps() if other != step]
            kept = f"the last good checkpoint is that of step {good[-1]}" if good else "there is no earlier checkpoint"
            return (
                f"the checkpoint of step {step} could not be written to {self.directory} ({_first_line(error)}); "
                f"{kept}; free space or mend the directory, then go on with --resume {self.directory.parent}"
            )

        return _translated(CheckpointError, message)

    def _read(self, path: pathlib.Path, step: int, read: Callable[[], Any]) -> Any:
        with _translated(DamagedCheckpoint, lambda error: f"{path} cannot be read ({_first_line(error)})"):
            return read()

    def _verify(self, path: pathlib.Path, step: int) -> None:
        if not path.is_dir():
            raise CheckpointError(f"{path} does not exist; the run has checkpoints of steps {self.steps()}")
        if not self._digest_file(step).exists():
            return  # killed between the checkpoint and its digests: the storage layer's own checks remain
        recorded = self._read(path, step, lambda: dict(json.loads(self._digest_file(step).read_text())))
        actual = _digests(path)
        for name, digest in recorded.items():
            if actual.get(name) != digest:
                damage = "is missing" if name not in actual else "was changed or cut short"
                raise DamagedCheckpoint(f"{path} is damaged: {name} {damage}")

    def _check_accuracies(self, reads_only: bool) -> None:
        """The storage layer reads them all when it starts, and one that is damaged would stop it."""
        damaged = [path for path in self.directory.glob("[0-9]*/metrics/metrics") if not _is_accuracy(path)]
        if damaged and reads_only:
            raise DamagedCheckpoint(
                f"{damaged[0].parents[1]} is damaged: metrics/metrics was changed or cut short; move the folder away, "
                "or train on with --resume, which does so"
            )
        if not reads_only and is_primary():
            for path in damaged:
                path.rename(path.with_name("metrics.damaged"))  # so the digests find it, and `load_newest_intact` skips
        wait_for_all("accuracies")

    def _set_aside(self, step: int) -> None:
        if is_primary():
            target = self.directory.parent / DAMAGED / str(step)
            number = 1
            while target.exists():
                number += 1
                target = target.with_name(f"{step}-{number}")
            target.parent.mkdir(exist_ok=True)
            self._path(step).rename(target)
            self._digest_file(step).unlink(missing_ok=True)
        wait_for_all(f"set aside {step}")
        self._checkpointer.reload()


@contextlib.contextmanager
def _translated(kind: type[CheckpointError], message: Callable[[Exception], str]) -> Iterator[None]:
    """Turns whatever the storage layer raises into one of our errors."""
    try:
        yield
    except Exception as error:
        raise kind(message(error)) from error


def _to_saved(state: TrainState) -> dict[str, Any]:
    # Flat, with one name an array: the storage format would not keep integer keys and named tuples.
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _shapes(saved: dict[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (tuple(leaf.shape), np.dtype(leaf.dtype).name) for name, leaf in saved.items()}


def _first_difference(found: dict[str, Any], expected: dict[str, Any]) -> str | None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            has, needs = (f"{shapes[name][1]}{list(shapes[name][0])}" if name in shapes else "no such array"
                          for shapes in (found, expected))  # fmt: skip
            return f"{name} is {has}, the model needs {needs}"
    return None


def _is_accuracy(file: pathlib.Path) -> bool:
    try:
        metrics = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(metrics, dict) and isinstance(metrics.get(ACCURACY), float | int)


def _digests(path: pathlib.Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
