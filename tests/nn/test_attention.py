import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax.nn import SECA


def test_follows_equation_9():
    seca = SECA(rngs=nnx.Rngs(0))
    seca.bias[...] = jnp.float32(0.3)
    current = np.asarray(jax.random.normal(jax.random.key(1), (2, 4, 3, 7)))
    pooled = current.mean((1, 2))
    scores = np.stack([np.correlate(np.pad(row, 2), np.asarray(seca.kernel[...]), "valid") for row in pooled]) + 0.3
    expected = current / (1 + np.exp(-scores))[:, None, None, :]
    np.testing.assert_allclose(seca(jnp.asarray(current)), expected, atol=1e-6)


def test_an_even_filter_is_refused():
    with pytest.raises(ValueError, match="kernel_size=4 must be odd"):
        SECA(4, rngs=nnx.Rngs(0))
