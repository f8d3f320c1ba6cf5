"""What XLA's CPU backend does badly, and what we do instead; each with the version that would end it.

Nothing here changes a number. On other backends every function gives the plain choice.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

UNROLLED_STEPS = 8  # of inference: more take long to compile
STEPS_PER_DISPATCH = 32  # of training, where a loop can be rolled around a step

_rolled = contextvars.ContextVar("rolled", default=False)


def on_cpu() -> bool:
    """Whether the default backend is the CPU's."""
    return jax.default_backend() == "cpu"


def unrolls_gradients() -> bool:
    """Whether loops whose body differentiates a convolution are to be unrolled.

    The gradient of a convolution inside a rolled loop is about 80 times slower than outside it (jax 0.10 to 0.12). Ends
    with the version whose rolled `accumulate` is as fast as its unrolled one (`experiments.benchmarks.memory`).
    """
    return on_cpu() and not _rolled.get()


def inference_unroll(num_steps: int) -> int:
    """How many steps of an inference over so many a turn of its loop computes.

    A rolled loop copies every membrane at every step, since spikes and the new membrane both read the old one and XLA
    does not order the two: 4 to 10 % of an inference (jax 0.12). Only where the barrier between the steps is kept, so
    that memory stays that of one (jax ≥ 0.11). It ends with the version that keeps one buffer
    (`experiments.benchmarks.train_speed`).
    """
    keeps_barriers = jax.__version_info__ >= (0, 11)
    unrolls = on_cpu() and keeps_barriers and not _rolled.get() and num_steps <= UNROLLED_STEPS
    return num_steps if unrolls else 1


@contextlib.contextmanager
def rolled() -> Iterator[None]:
    """Loops that are traced within stay rolled: of programs that are compiled to ask for their memory, and never run.

    XLA takes minutes to compile 32 unrolled steps, and plans the same memory for rolled ones.
    """
    token = _rolled.set(True)
    try:
        yield
    finally:
        _rolled.reset(token)


def steps_per_dispatch() -> int:
    """How many training steps one call to the device runs: one on CPUs, for the reason of `unrolls_gradients`."""
    return 1 if on_cpu() else STEPS_PER_DISPATCH


def columns_at_once(kernel_shape: tuple[int, ...], integers: bool) -> int:
    """How many columns of its output a convolution is to compute at once (`conv_forms.by_columns`).

    Two where XLA's library refuses one: it takes int8 from 17 channels on one side on, and float32 of few channels goes
    to Eigen, at half the speed (jax 0.10 and 0.12; ARCHITECTURE.md). It ends with the version that is as fast without.

    Args:
      kernel_shape: `(k, k, C_in, C_out)`.
      integers: whether it convolves int8, or floats.
    """
    size, _, in_channels, out_channels = kernel_shape
    return 2 if size > 1 and in_channels <= 16 and out_channels <= (16 if integers else 8) else 1


def has_fast_integers(kernel_shape: tuple[int, ...]) -> bool:
    """Whether XLA's CPU backend convolves int8 faster than float32 in a layer of this shape.

    It hands int8 convolutions to a library only from 17 channels on one side on, with `columns_at_once` counted, and
    writes a naive loop below; with fewer than 12 on the other side the library is no faster either (jax 0.10 and 0.12;
    see `experiments.benchmarks.integer_layers`). It ends with the version that does not lose at 16 channels.

    Args:
      kernel_shape: `(..., C_in, C_out)`.
    """
    *size, in_channels, out_channels = kernel_shape
    columns = columns_at_once(kernel_shape, True) if size else 1
    narrow, wide = sorted((in_channels, columns * out_channels))
    return wide > 16 and narrow >= 12


def prefers_long_rows(images_shape: tuple[int, ...]) -> bool:
    """Whether the kernel's gradient of a layer that reads such images is faster as `conv_forms.kernel_gradient`.

    By a tenth to a third, a tenth of a training step at width 64 (jax 0.10 and 0.12;
    `experiments.benchmarks.train_speed`), but not of few images or channels, nor of a number of channels that
    `conv_forms.CHUNKS` does not divide. It ends with the version whose own
    gradient runs at the speed of its convolution.

    Args:
      images_shape: `(B, H, W, C_in)`.
    """
    batch, _, _, channels = images_shape
    return on_cpu() and batch >= 16 and channels >= 16 and channels % 4 == 0


def prefers_integers(kernel_shape: tuple[int, ...]) -> bool:
    """Whether a convolution was measured to be faster in int8 than in float32 on the default backend.

    Elsewhere than on CPUs nothing was measured, so the float convolution stays.

    Args:
      kernel_shape: `(k, k, C_in, C_out)`.
    """
    return on_cpu() and has_fast_integers(kernel_shape)


def computed_once(x: jax.Array) -> jax.Array:
    """The same array, which stands in memory before anything reads it.

    The gradient of a kernel reads the layer's inputs in another order. XLA would compute the neurons before it once
    more there, element by element in that order, which takes a tenth of a training step (jax 0.12; 0.10 drops the
    barrier, and nothing changes). It ends with the version whose step is as fast without it
    (`experiments.benchmarks.train_speed`).

    Args:
      x: any shape.
    """
    return jax.lax.optimization_barrier(x) if on_cpu() else x


def barrier(carry: Any) -> Any:
    """The same carry, no part of which can be used before all of it is computed.

    Between unrolled steps: XLA would interleave them and hold the memory of all at once. `optimization_barrier` says it
    in one word, but jax 0.10's CPU backend drops it before it schedules; it ends when 0.10 is no longer supported and
    `tests/learning/test_online.py` holds with the barrier alone. Here the carry goes through a loop that adds zero to
    it once, and nothing moves across a loop whose number of turns (one, if the carry is finite) is known only when it
    runs.

    Args:
      carry: any pytree of arrays.
    """
    floats = [leaf for leaf in jax.tree.leaves(carry) if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size]
    if not floats:
        return carry
    probe = floats[0].ravel()[0]
    turns, zero = jnp.isfinite(probe).astype(jnp.int32), 0 * probe

    def add_zero(_: Any, carry: Any) -> Any:
        return jax.tree.map(
            lambda leaf: leaf + zero.astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, carry
        )

    return jax.lax.fori_loop(0, turns, add_zero, carry)
