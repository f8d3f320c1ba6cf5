"""Checkpoints that load into exactly the run they came from, or say why not."""

import hashlib
import json
import pathlib
import warnings
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from hdlif_jax.training.steps import TrainState

CHECKSUMS = "checksums"  # folder beside the checkpoints: one file of digests a step, written when the step is complete


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model."""


class Checkpoints:
    """The checkpoints of one run, by step; the newest few are kept.

    Args:
      directory: where they are; made if need be.
      keep: how many.
    """

    def __init__(self, directory: pathlib.Path, keep: int = 2):
        self.directory = pathlib.Path(directory).absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._checksums = self.directory.parent / CHECKSUMS
        self._checksums.mkdir(exist_ok=True)
        self._checkpointer = ocp.training.Checkpointer(
            self.directory,
            preservation_policy=ocp.training.preservation_policies.LatestN(keep),
            cleanup_tmp_directories=True,
        )

    def save(self, state: TrainState) -> pathlib.Path:
        """Writes a checkpoint, atomically; returns its folder."""
        step = int(state.step)
        path = self._path(step)
        if step in self.steps():
            return path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._checkpointer.save_checkpointables(step, {"state": _to_saved(state)}, force=True)
        digest_file = self._digest_file(step)
        partial = digest_file.with_suffix(".partial")
        partial.write_text(json.dumps(_digests(path), indent=1))
        partial.replace(digest_file)
        for stale in self._checksums.glob("*.json"):
            if int(stale.stem) not in self.steps():
                stale.unlink()
        return path

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, rising."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def latest(self) -> int:
        """The newest step.

        Raises:
          CheckpointError: there is none.
        """
        steps = self.steps()
        if not steps:
            raise CheckpointError(f"{self.directory} holds no checkpoint; start the run again without --resume")
        return steps[-1]

    def load(self, like: TrainState, step: int | None = None) -> TrainState:
        """Reads a checkpoint.

        Args:
          like: a state of the same model and optimiser, for structure, shapes and types.
          step: which; the newest by default.

        Raises:
          CheckpointError: there is none, it is damaged, or it belongs to another model.
        """
        step = self.latest() if step is None else step
        path = self._path(step)
        self._verify(path, step)
        try:
            found = self._checkpointer.checkpointables_metadata(step).metadata["state"]
        except Exception as error:  # orbax raises whatever its storage layer met
            raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); {self._advice(step)}") from error
        expected = _shapes(_to_saved(like))
        difference = _first_difference(_shapes(found), expected)
        if difference:
            raise CheckpointError(
                f"{path} belongs to another model: {difference}; use the configuration it was made with"
            )
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in _to_saved(like).items()
        }
        try:
            saved = self._checkpointer.load_checkpointables(step, {"state": abstract})["state"]
        except Exception as error:
            raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); {self._advice(step)}") from error
        return jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in _to_saved(like)])

    def close(self) -> None:
        """Waits for what is being written."""
        self._checkpointer.close()

    def _path(self, step: int) -> pathlib.Path:
        return self.directory / str(step)

    def _digest_file(self, step: int) -> pathlib.Path:
        return self._checksums / f"{step}.json"

    def _verify(self, path: pathlib.Path, step: int) -> None:
        if not path.is_dir():
            raise CheckpointError(f"{path} does not exist; the run has checkpoints of steps {self.steps()}")
        if not self._digest_file(step).exists():
            return  # killed between the checkpoint and its digests: the storage layer's own checks remain
        recorded, actual = json.loads(self._digest_file(step).read_text()), _digests(path)
        for name, digest in recorded.items():
            if actual.get(name) != digest:
                damage = "is missing" if name not in actual else "was changed or cut short"
                raise CheckpointError(f"{path} is damaged: {name} {damage}; {self._advice(step)}")

    def _advice(self, step: int) -> str:
        older = [other for other in self.steps() if other < step]
        if older:
            return f"delete that folder to fall back to the checkpoint of step {older[-1]}"
        return "there is no older checkpoint; train again"


def _to_saved(state: TrainState) -> dict[str, Any]:
    # Flat, with one name an array: the storage format would not keep integer keys and named tuples.
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _shapes(saved: dict[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (tuple(leaf.shape), np.dtype(leaf.dtype).name) for name, leaf in saved.items()}


def _first_difference(found: dict, expected: dict) -> str | None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            has, needs = (f"{shapes[name][1]}{list(shapes[name][0])}" if name in shapes else "no such array"
                          for shapes in (found, expected))  # fmt: skip
            return f"{name} is {has}, the model needs {needs}"
    return None


def _digests(path: pathlib.Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
