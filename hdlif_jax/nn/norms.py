"""Batch normalisation of currents, with a choice of what its statistics are taken over, and no normalisation."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Count, Positive, Share, check_arguments, check_fields
from hdlif_jax.nn.module import Module
from hdlif_jax.nn.needs import check_rngs
from hdlif_jax.ops import unstack

Statistics = Literal["step", "sequence"]
NormFactory = Callable[[int, nnx.Rngs], nnx.Module]  #: `(num_channels, rngs) -> module`


@dataclasses.dataclass(frozen=True)
class batch_norm:  # noqa: N801 - a class that is called as a function
    """BatchNorm; with statistics over the sequence and a gain of α·θ it is tdBN (Zheng et al., AAAI 2021).

    Attributes:
      momentum: of the running statistics, what a batch leaves of them.
      epsilon: added to the variance.
      statistics: "step" normalises every time-step by its own batch; "sequence" all steps together, over (T, B), which
        needs the layer-by-layer form while training.
      gain: constant factor of the normalised value.
      unbiased: whether the running variance moves towards Σ(x − μ)² / (n − 1) of a batch, as PyTorch's does; else
        towards Σ(x − μ)² / n, as Flax's. n is the number of values of a channel, over all steps where they are
        normalised together.

    Raises:
      ValueError: a value out of range.
    """

    momentum: Share = 0.9
    epsilon: Positive = 1e-5
    statistics: Statistics = "step"
    gain: Positive = 1.0
    unbiased: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, num_channels: int, rngs: nnx.Rngs) -> "BatchNorm":
        """The normaliser of so many channels."""
        check_rngs(rngs)
        # Nothing is drawn, but the stream goes on as behind Flax's BatchNorm, which networks had before: a seed gives
        # the kernels that it gave.
        for _ in ("scale", "bias"):
            rngs.params()
        return BatchNorm(num_channels, self)


@dataclasses.dataclass(frozen=True)
class no_norm:  # noqa: N801 - a class that is called as a function
    """No normaliser, for networks whose weights are standardised or whose neurons' thresholds were found."""

    def __call__(self, num_channels: int, rngs: nnx.Rngs) -> "Identity":
        """The same module for any number of channels."""
        check_rngs(rngs)
        return Identity()


class Identity(Module):
    """Its input as it is."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, ...]` to itself."""
        return x


class BatchNorm(Module):
    """BatchNorm over batch and space, in float32, whose parameters and running statistics are shared over time."""

    @check_arguments
    def __init__(self, num_channels: Count, options: batch_norm = batch_norm()):
        self.options = options
        self.scale = nnx.Param(jnp.ones(num_channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(num_channels, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(num_channels, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(num_channels, jnp.float32))

    @property
    def over_sequence(self) -> bool:  # type: ignore[override]
        """Whether its statistics are those of the whole sequence."""
        return self.options.statistics == "sequence"

    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, ..., C]` to the same shape and type."""
        if self.trains and self.over_sequence:
            raise ValueError(
                "a BatchNorm with statistics='sequence' trains in the layer-by-layer form alone: use "
                "learning.stbp(layerwise=True), or batch_norm(statistics='step')"
            )
        return self._normalize(x)

    def over_time(self, x: jax.Array) -> jax.Array:
        """`[T, B, ..., C]` to the same shape and type."""
        if not self.trains or self.over_sequence:
            return self._normalize(x)
        return jnp.stack([self._normalize(x_t) for x_t in unstack(x)])

    def _normalize(self, x: jax.Array) -> jax.Array:
        values, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
        channels = (1,) * len(axes) + (-1,)
        if self.trains:
            # One pass over the data, from a value of its own: E[x²] − E[x]² would cancel where the mean is far from 0.
            origin = jax.lax.stop_gradient(values[tuple(size // 2 for size in values.shape[:-1])])
            values = values - origin.reshape(channels)
            squares = jnp.square(values)  # before the mean: the other order of sums in the gradient costs 3 % of a step
            mean = jnp.mean(values, axes)
            variance = jnp.maximum(jnp.mean(squares, axes) - jnp.square(mean), 0)
            # Running statistics are for inference only: no gradient may pass through them.
            kept, new = self.options.momentum, 1 - self.options.momentum
            self.mean[...] = kept * self.mean[...] + new * jax.lax.stop_gradient(origin + mean)
            count = values.size // values.shape[-1]
            factor = count / max(count - 1, 1) if self.options.unbiased else 1.0
            self.var[...] = kept * self.var[...] + new * factor * jax.lax.stop_gradient(variance)
        else:
            values, variance = values - self.mean[...].reshape(channels), self.var[...]
            mean = jnp.zeros_like(variance)
        scale = self.scale[...] if self.options.gain == 1 else self.options.gain * self.scale[...]
        gain = jax.lax.rsqrt(variance + self.options.epsilon) * scale
        offset = self.bias[...] - mean * gain
        return (values * gain.reshape(channels) + offset.reshape(channels)).astype(x.dtype)
