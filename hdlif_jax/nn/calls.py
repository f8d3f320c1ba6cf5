"""What a form does with the calls of a network's modules: keys, offsets and records, and all time-steps at once."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.arrays import described
from hdlif_jax.nn.cell import Cell, NeuronCell, has_running_statistics
from hdlif_jax.nn.declared import definer, holds
from hdlif_jax.nn.intercept import Interceptor, original
from hdlif_jax.nn.module import Form, Module, Tick, is_over_sequence
from hdlif_jax.nn.network import ByPath
from hdlif_jax.ops import unstack


class Calls:
    """What happens to calls of cells and, where all time-steps run at once, of layers.

    Args:
      cells: paths of all; each draws from a key of its own.
      form: of the network.
      offsets: added to the cells' currents.

    Attributes:
      records: spikes by path.

    Raises:
      ValueError: offsets of what is no cell.
    """

    def __init__(self, cells: list[str], form: Form, offsets: Mapping[str, jax.Array] | None):
        self._index = {path: index for index, path in enumerate(cells)}
        self._form = form
        self._offsets = offsets or {}
        for path in self._offsets:
            if path not in self._index:
                raise ValueError(f"offsets name {path}, and the network's cells are {', '.join(cells)}")
        self._left: list[Any] = []
        self._whole: list[str] = []  # layers of several that are called as one
        self.records: ByPath = {}

    def at_a_step(self, path: str, module: nnx.Module) -> Interceptor | None:
        """Chooses for one time-step."""
        if not isinstance(module, Cell):
            return None

        def run(call: Callable[..., Any], state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
            left, spikes = call(state, self._offset(path, x), self._own(path, tick))
            _check_kept(path, state, left)
            self._record(path, module, spikes)
            return left, spikes

        return run

    def over_time(self, path: str, module: nnx.Module) -> Interceptor | None:
        """Chooses for all time-steps at once, values `[T, B, ...]`: cells loop, layers see `[T·B, ...]`.

        Raises:
          ValueError: a layer that is no function of one time-step and does not say what it does over time.
        """
        if isinstance(module, Cell):
            return self._loop(path, module)
        if any(path.startswith(f"{cell}.") for cell in self._index):
            return None  # a cell's own layers see one step
        if any(path.startswith(f"{whole}.") for whole in self._whole):
            return None  # within a layer that is called as a whole
        kind = original(type(module))
        parts = [part for own_path, part in nnx.iter_modules(module) if own_path]
        if parts:
            return self._composite(path, module, kind, parts)
        if hasattr(kind, "over_time"):
            if not holds(kind, "over_time", "__call__"):
                raise ValueError(
                    f"{path} is of type {kind.__name__} with a __call__ of its own and the over_time of "
                    f"{definer(kind, 'over_time').__name__}; write over_time(x [T, B, ...]) too"
                )
            return lambda call, x: cast(Any, module).over_time(x)
        if self._form.train and has_running_statistics(module):
            raise ValueError(
                f"{path} is of type {kind.__name__} with running statistics and no over_time(x [T, B, ...]), so that "
                "it would normalise all steps together in the layer-by-layer form; use nn.BatchNorm"
            )

        return _as_one_batch

    def _composite(self, path: str, module: nnx.Module, kind: type, parts: list[Any]) -> Interceptor | None:
        """What happens to a module of several: a network's parts see the time axis, another layer's code must not."""
        if not callable(module) or any(isinstance(part, Cell) for part in parts) or not path:
            return None
        if isinstance(module, Module) and module.composes and holds(kind, "composes", "__call__"):
            return None
        self._whole.append(path)
        norms = [part for part in parts if has_running_statistics(part)]
        if not norms or not self._form.train:
            return _as_one_batch
        if any(is_over_sequence(norm) for norm in norms):
            raise ValueError(
                f"{path}, a {kind.__name__}, holds a norm over the sequence; set composes = True in the class if its "
                "own code only calls its parts and adds"
            )
        # Step by step, so that the norms inside see the statistics of each; its own code sees no time axis.
        return lambda call, x: jnp.stack([call(x_t) for x_t in unstack(x)])

    def check_state(self, state: Any) -> None:
        """Raises ValueError where a network left more than its cells left, after all time-steps at once."""
        if not all(any(leaf is left for left in self._left) for leaf in jax.tree.leaves(state)):
            raise ValueError(
                "the network keeps a state outside of its cells, such as a feedback from step to step, and so cannot "
                "run layer by layer; run it step by step, or move what has the state into one nn.Cell"
            )

    def _loop(self, path: str, module: Cell) -> Interceptor:
        def run(call: Callable[..., Any], state: Any, x: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
            tick, x, outputs = self._own(path, tick), self._offset(path, x), []
            # In Python, because a cell may write running statistics, which no rolled loop hands out of it.
            for t, x_t in enumerate(unstack(x)):
                before = state
                state, spikes_t = call(before, x_t, tick._replace(t=t))
                _check_kept(path, before, state)
                outputs.append(spikes_t)
            spikes = jnp.stack(outputs)
            self._left += jax.tree.leaves(state)
            self._record(path, module, spikes)
            return state, spikes

        return run

    def _own(self, path: str, tick: Tick) -> Tick:
        if tick.key is None:
            return tick
        return tick._replace(key=jax.random.fold_in(tick.key, self._index[path]))

    def _offset(self, path: str, x: jax.Array) -> jax.Array:
        if path not in self._offsets:
            return x
        offset = self._offsets[path]
        if offset.shape != x.shape:
            raise ValueError(f"the offset of {path} has shape {offset.shape} and its current {x.shape}")
        return x + offset.astype(x.dtype)

    def _record(self, path: str, cell: Cell, spikes: jax.Array) -> None:
        if self._form.record and isinstance(cell, NeuronCell):
            if path in self.records:
                raise ValueError(f"{path} is called more than once in a time-step; give every call its own cell")
            self.records[path] = spikes


def _check_kept(path: str, before: Any, after: Any) -> None:
    """Raises ValueError where a cell leaves another kind of state than it was handed, which no loop could hand on."""
    if before is None:
        return
    had, left = described(before), described(after)
    structures: tuple[Any, Any] = jax.tree.structure(before), jax.tree.structure(after)
    if had != left or structures[0] != structures[1]:
        raise ValueError(
            f"{path} was handed the state {_listed(had)} and leaves {_listed(left)}; a cell keeps the structure, "
            "shapes and types of its state, and a sequence goes on with the state of the same network and batch"
        )


def _listed(arrays: dict[str, str]) -> str:
    return ", ".join(f"{path} {array}".strip() for path, array in arrays.items()) or "()"


def _as_one_batch(call: Callable[..., Any], x: jax.Array) -> jax.Array:
    """`[T, B, ...]` through a layer of `[T·B, ...]`."""
    y = call(x.reshape(-1, *x.shape[2:]))
    unfolded: jax.Array = y.reshape(*x.shape[:2], *y.shape[1:])
    return unfolded
