"""Where kernels start, as values: functions `(key, shape, dtype) -> array`; any of `nnx.initializers` is as good."""

import dataclasses
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax.checks import check_fields

FEWEST, MOST = 2**14, 2**20  # numbers that are drawn at once
CUT_DEVIATION = np.float32(0.87962566103423978)  #: standard deviation of a standard normal that is cut at 2

# Classes that are called as functions and named as such.
# ruff: noqa: N801


class Init(Protocol):
    """Makes the first values of a kernel."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32, /) -> jax.Array:
        """A kernel `[..., C_in, C_out]`."""


@dataclasses.dataclass(frozen=True)
class he_normal:
    """Normal with variance 2 / fan-in, cut at two deviations (He et al., ICCV 2015)."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32, /) -> jax.Array:
        """See the class."""
        kernel = _first_of_a_row(key, shape) if dtype == jnp.float32 else None
        if kernel is None:
            kernel = nnx.initializers.he_normal()(key, shape, dtype)
        return kernel


@dataclasses.dataclass(frozen=True)
class uniform:
    """Uniform in [low, high); by default where the authors' code starts its quantised kernels, as ReActNet does.

    BatchNorm hides the scale of a kernel forward, but straight-through gradients grow as one over it. After two epochs
    of CIFAR-100 at small width it was behind `he_normal` (`experiments/benchmarks/results/inits-cpu.json`).

    Attributes:
      low: the least value.
      high: above all values.

    Raises:
      ValueError: `high` is not above `low`.
    """

    low: float = 0.0
    high: float = 0.001

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.high > self.low:
            raise ValueError(f"high={self.high} must be above low={self.low}")

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32, /) -> jax.Array:
        """See the class."""
        return jax.random.uniform(key, shape, dtype, self.low, self.high)


def _first_of_a_row(key: jax.Array, shape: tuple[int, ...]) -> jax.Array | None:
    """What Flax's `he_normal` draws, bit for bit, but compiled for few sizes; None where that is Flax's own to do.

    To compile the draw takes half a second for every shape, of which a network has a dozen. A number depends on the key
    and on its place alone, so that those of a shape are the first of a longer row. With other generators that is not
    so, for large kernels it does not pay, and within jit nothing is compiled here.
    """
    count = math.prod(shape)
    by_place = getattr(jax.config, "jax_threefry_partitionable", True) and jax.random.key_impl(key) == "threefry2x32"
    if not by_place or len(shape) < 2 or not 0 < count <= MOST:
        return None
    drawn = FEWEST
    while drawn < count:
        drawn *= 4
    row = jax.random.truncated_normal(key, -2, 2, (drawn,), jnp.float32)
    if isinstance(row, jax.core.Tracer):
        return None
    deviation = np.sqrt(np.float32(2 / (count // shape[-1]))) / CUT_DEVIATION
    return jnp.asarray(np.asarray(row)[:count].reshape(shape) * deviation)
