"""Encoded inputs as a deployed network reads them: an artifact reads uint8 levels, and codes are −1, 0 and 1."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.data import Source, Split
from hdlif_jax.training.evaluate import EVAL_BATCH

LEVEL = 1 / 255  # of a uint8 as an intensity: what is normalised by it as mean and deviation is the level less one


class Codes:
    """The codes of a source's images, plus 1: uint8 `[N, T, H, W, C]`, made as they are read.

    They are made in the batches of an evaluation on one device, as those of a batch may depend on all of it.

    Args:
      source: the images.
      encode: uint8 or float images `[B, H, W, C]` to codes `[T, B, H, W, C]` of −1, 0 and 1.
    """

    def __init__(self, source: Source, encode: Callable[[jax.Array], jax.Array]):
        def levels(inputs: jax.Array) -> jax.Array:
            return jnp.moveaxis(jnp.round(encode(inputs) + 1).astype(jnp.uint8), 0, 1)

        self._source, self._levels = source, jax.jit(levels)
        self._batch = min(EVAL_BATCH, source.shape[0])
        self._held: tuple[int, np.ndarray] | None = None  # one batch at a time
        one = jax.ShapeDtypeStruct((self._batch, *source.shape[1:]), source.dtype)
        self._shape = source.shape[0], *jax.eval_shape(levels, one).shape[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        """`[N, T, H, W, C]`."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def labels(self) -> np.ndarray:
        """`[N]` int32."""
        return self._source.labels

    def read(self, indices: np.ndarray, keys: np.ndarray | None = None) -> Split:
        """Codes and labels at `[B]` indices."""
        del keys
        indices = np.asarray(indices)
        inputs = np.empty((len(indices), *self._shape[1:]), np.uint8)
        for number in np.unique(indices // self._batch):
            mine = indices // self._batch == number
            inputs[mine] = self._batch_at(int(number))[indices[mine] - number * self._batch]
        return Split(inputs, self.labels[indices])

    def select(self, indices: np.ndarray) -> Split:
        """Codes and labels at these indices, in memory."""
        return self.read(indices)

    def load(self) -> Split:
        """All of them in memory."""
        return self.read(np.arange(self._shape[0]))

    def _batch_at(self, number: int) -> np.ndarray:
        if self._held is None or self._held[0] != number:
            start, stop = number * self._batch, min((number + 1) * self._batch, self._shape[0])
            inputs = self._source.read(np.arange(start, stop)).inputs
            full = inputs[np.arange(self._batch) % len(inputs)]
            self._held = number, np.asarray(self._levels(full))
        return self._held[1]
