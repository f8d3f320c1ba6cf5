"""Rows and gains that only the network around a layer tells of."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.interop import torch
from tests.interop.torch.test_from_state_dict import LEAKY, RNG, K, T, network, weights


def test_a_norm_with_a_gain_takes_its_share_and_gives_it_back():
    def made(norm):
        layers = nn.Linear(4, 5, rngs=nnx.Rngs(0)), norm, LEAKY, nn.Linear(5, K, rngs=nnx.Rngs(1))
        return nn.Sequential(*layers, num_steps=T, input_shape=(4,))

    state = torch.to_state_dict(made(nn.batch_norm())) | {"layers.1.weight": RNG.uniform(0.5, 2, 5).astype(np.float32)}
    model = torch.from_state_dict(made(nn.batch_norm(gain=0.3)), state).model
    plain = torch.from_state_dict(made(nn.batch_norm()), state).model
    x = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
    np.testing.assert_allclose(model.layers[1](x), plain.layers[1](x), rtol=1e-5)
    np.testing.assert_allclose(torch.to_state_dict(model)["layers.1.weight"], state["layers.1.weight"], rtol=1e-6)


def test_images_that_other_code_flattens_have_their_rows_moved():
    class Own(nn.Module):
        def __call__(self, x):
            return x.reshape(len(x), -1)

    state = weights()
    imported = torch.from_state_dict(network(LEAKY), state)
    made = network(LEAKY)
    made.layers[3] = Own()
    other = torch.from_state_dict(made, state)
    jax.tree.map(np.testing.assert_array_equal, other.variables, imported.variables)
