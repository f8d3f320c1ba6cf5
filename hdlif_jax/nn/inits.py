"""Where kernels start, as values: functions `(key, shape, dtype) -> array`; any of `nnx.initializers` is as good."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import check_fields

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
        kernel: jax.Array = nnx.initializers.he_normal()(key, shape, dtype)
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
