"""The two ways in which training steps get their batches: from the device's memory, and from worker processes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jax.sharding import Mesh

from hdlif_jax import xla_cpu
from hdlif_jax.data import BatchReader, Source, Split, batch_indices, stream
from hdlif_jax.data.order import ROUNDS
from hdlif_jax.learning import Batch
from hdlif_jax.training.guard import check_main_guard
from hdlif_jax.training.sharding import batch_sharding, place, place_own_rows, replicated
from hdlif_jax.training.steps import StepMetrics, TrainState, TrainStep


class Ran(NamedTuple):
    """What some steps did.

    Attributes:
      state: after them.
      metrics: of each, `[n]` or more; only the first n count.
      num_steps: n.
    """

    state: TrainState
    metrics: StepMetrics
    num_steps: int


class Runner(Protocol):
    """Runs training steps on batches that are functions of (seed, step), so that a run goes on anywhere exactly."""

    def run(self, state: TrainState, step: int, last_step: int) -> Ran:
        """Runs a few steps, at least one and not beyond `last_step`, from `state`, which is given away."""

    def traced(self, state: TrainState) -> ClosedJaxpr:
        """What `run` runs, traced; the trace is kept for it."""

    def close(self) -> None:
        """Ends what runs in the background."""


class ResidentRunner:
    """The training set lives on the device as uint8; order, augmentation and batching happen inside the jitted step.

    Args:
      split: the training set.
      batch_size: B.
      seed: of the order.
      train_step: `(state, batch) -> (state, metrics)`.
      mesh: the devices; each holds the whole set and computes its rows of a batch.
      steps_per_dispatch: how many steps one call to the device runs; None chooses by backend.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        train_step: TrainStep,
        mesh: Mesh,
        steps_per_dispatch: int | None = None,
    ):
        if steps_per_dispatch is None:
            steps_per_dispatch = xla_cpu.steps_per_dispatch()
        self.steps_per_dispatch = steps_per_dispatch
        # Arguments of the jitted function and not constants in it: those would be copied into the executable.
        self._inputs, self._labels = place((split.inputs, split.labels), replicated(mesh))
        take = make_take(len(split.labels), batch_size, seed)

        def one_step(state: TrainState, inputs: jax.Array, labels: jax.Array) -> tuple[TrainState, StepMetrics]:
            batch = jax.lax.with_sharding_constraint(take(inputs, labels, state.step), batch_sharding(mesh))
            return train_step(state, Batch(*batch))

        def many_steps(
            state: TrainState, inputs: jax.Array, labels: jax.Array, count: jax.Array
        ) -> tuple[TrainState, StepMetrics]:
            def body(index: jax.Array, carry: tuple[TrainState, StepMetrics]) -> tuple[TrainState, StepMetrics]:
                state, recorded = carry
                state, metrics = one_step(state, inputs, labels)
                return state, jax.tree.map(lambda values, value: values.at[index].set(value), recorded, metrics)

            empty = StepMetrics(*(jnp.zeros(steps_per_dispatch, jnp.float32) for _ in StepMetrics._fields))
            ran: tuple[TrainState, StepMetrics] = jax.lax.fori_loop(0, count, body, (state, empty))
            return ran

        single = steps_per_dispatch == 1
        self._run = jax.jit(one_step if single else many_steps, donate_argnums=0, out_shardings=replicated(mesh))

    def run(self, state: TrainState, step: int, last_step: int) -> Ran:
        """See `Runner`; the state's own step says which batch comes."""
        if self.steps_per_dispatch == 1:
            state, metrics = self._run(state, self._inputs, self._labels)
            return Ran(state, jax.tree.map(lambda value: value[None], metrics), 1)
        count = min(self.steps_per_dispatch, last_step - step)
        state, metrics = self._run(state, self._inputs, self._labels, np.int32(count))
        return Ran(state, metrics, count)

    def traced(self, state: TrainState) -> ClosedJaxpr:
        """See `Runner`."""
        count = () if self.steps_per_dispatch == 1 else (np.int32(1),)
        jaxpr: ClosedJaxpr = self._run.trace(state, self._inputs, self._labels, *count).jaxpr
        return jaxpr

    def close(self) -> None:
        """Nothing runs in the background."""


class StreamingRunner:
    """Worker processes read and decode ahead; the next batch is on its way to the device while a step runs.

    Args:
      source: the training set.
      batch_size: B.
      seed: of the order and of the crops made while decoding.
      train_step: `(state, batch) -> (state, metrics)`.
      mesh: the devices; a process reads the rows of its own devices alone.
      workers: number of processes that read for this one.

    Raises:
      RuntimeError: a script without a main guard, which every worker would run again.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, train_step: TrainStep, mesh: Mesh, workers: int):
        if workers:
            check_main_guard()
        self._reader = BatchReader(source, batch_size, seed, (jax.process_index(), jax.process_count()))
        self._workers = workers
        self._rows = batch_sharding(mesh)
        self._train_step = jax.jit(train_step, donate_argnums=0, out_shardings=replicated(mesh))
        self._batches: Iterator[Split] | None = None
        self._next: tuple[int, Any] | None = None

    def run(self, state: TrainState, step: int, last_step: int) -> Ran:
        """See `Runner`; one step."""
        if self._next is None or self._next[0] != step:  # the first step, or a jump
            self.close()
            self._batches = stream(self._reader, step, 2**31 - 1, self._workers)
            self._fetch(step)
        assert self._next is not None
        _, batch = self._next
        state, metrics = self._train_step(state, Batch(*batch))  # returns at once: the device works on it
        self._fetch(step + 1)
        return Ran(state, jax.tree.map(lambda value: value[None], metrics), 1)

    def traced(self, state: TrainState) -> ClosedJaxpr:
        """See `Runner`."""
        size, source = self._reader.batch_size, self._reader.source
        inputs = jax.ShapeDtypeStruct((size, *source.shape[1:]), source.dtype)
        kinds: Any = inputs, jax.ShapeDtypeStruct((size,), np.int32)
        jaxpr: ClosedJaxpr = self._train_step.trace(state, Batch(*kinds)).jaxpr
        return jaxpr

    def close(self) -> None:
        """Ends the workers."""
        if self._batches is not None:
            self._batches.close()  # type: ignore[attr-defined]
        self._batches = self._next = None

    def _fetch(self, step: int) -> None:
        assert self._batches is not None
        self._next = step, place_own_rows(tuple(next(self._batches)), self._rows)


def make_take(size: int, batch_size: int, seed: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Builds `(inputs [N, ...], labels [N], step) -> (inputs [B, ...], labels [B])`, the batch of a step, for jit."""

    def loop(body: Callable[[Any, Any], Any], places: jax.Array) -> jax.Array:
        def turn(round_: jax.Array, places: jax.Array) -> Any:
            return body(round_.astype(jnp.uint32), places)

        permuted: jax.Array = jax.lax.fori_loop(0, ROUNDS, turn, places)
        return permuted

    def take(inputs: jax.Array, labels: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        indices = batch_indices(step.astype(jnp.uint32)[None], size, batch_size, seed, loop)
        return inputs[indices], labels[indices]

    return take
