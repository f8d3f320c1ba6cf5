import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn

SHAPE = (3, 3, 8, 16)


def test_uniform_values_are_in_their_range_and_he_normal_ones_have_their_variance():
    small = np.asarray(nn.inits.uniform()(jax.random.key(0), SHAPE))
    assert 0 <= small.min() < 1e-5 < 9.9e-4 < small.max() < 1e-3
    normal = np.asarray(nn.inits.he_normal()(jax.random.key(0), (3, 3, 64, 64)))
    np.testing.assert_allclose(normal.std(), np.sqrt(2 / (9 * 64)), rtol=0.02)
    with pytest.raises(ValueError, match=r"high=0\.0 must be above low=0\.0"):
        nn.inits.uniform(0, 0)


@pytest.mark.parametrize("shape", [(3, 3, 3, 8), (7, 5), (3, 3, 64, 64), (1, 1, 16, 33)])
def test_he_normal_is_flax_s_to_the_bit(shape):
    """Though it draws another number of them, within jit and outside of it, and whatever the generator."""
    for key in (jax.random.key(3), jax.random.PRNGKey(4)):
        expected = nnx.initializers.he_normal()(key, shape, jnp.float32)
        drawn = nn.inits.he_normal()(key, shape)
        assert (type(drawn), drawn.dtype) == (type(expected), jnp.float32)
        np.testing.assert_array_equal(drawn, expected)
    if shape == (7, 5):
        np.testing.assert_array_equal(jax.jit(lambda key: nn.inits.he_normal()(key, shape))(key), expected)
        np.testing.assert_array_equal(jax.jit(lambda: nn.inits.he_normal()(key, shape))(), expected)
        other = jax.random.key(3, impl="rbg")
        flax = nnx.initializers.he_normal()(other, shape, jnp.float32)
        np.testing.assert_array_equal(nn.inits.he_normal()(other, shape), flax)
        half = nnx.initializers.he_normal()(key, shape, jnp.bfloat16)
        np.testing.assert_array_equal(nn.inits.he_normal()(key, shape, jnp.bfloat16), half)


def test_kernels_of_many_shapes_are_drawn_by_few_programs():
    draw = jax.random.truncated_normal
    drawn = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.random, "truncated_normal", lambda *args: drawn.add(args[3]) or draw(*args))
        nn.resnet18((8, 8, 3), 10, width=4, spec=nn.Spec(num_steps=1, neuron=nn.hd_lif()), rngs=nnx.Rngs(0))
    assert drawn == {(nn.inits.FEWEST,)}


BUILDS = {
    "conv-net": lambda spec: nn.conv_net((8, 8, 1), 2, widths=(2, 3), spec=spec, rngs=nnx.Rngs(0)),
    "vgg13": lambda spec: nn.vgg13((16, 16, 3), 2, width=1, spec=spec, rngs=nnx.Rngs(0)),
    "vgg-snn on events": lambda spec: nn.vgg_snn((16, 16, 2), 2, width=1, spec=spec, rngs=nnx.Rngs(0)),
    "mlp": lambda spec: nn.mlp((4,), 2, widths=(3, 3), spec=spec, rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("name", BUILDS)
def test_the_start_is_that_of_the_quantised_kernels_alone(name):
    def ones(key, shape, dtype=jnp.float32):
        return jnp.ones(shape, dtype)

    model = BUILDS[name](nn.Spec(num_steps=1, neuron=nn.hd_lif(), init=ones))
    plain = BUILDS[name](nn.Spec(num_steps=1, neuron=nn.hd_lif()))
    synapses, others = (
        {path: module for path, module in nn.modules(network) if isinstance(module, nn.Synapse)}
        for network in (model, plain)
    )
    assert {module.weights for module in synapses.values()} == {"float", "ternary"}
    for path, module in synapses.items():
        is_ones = bool(jnp.all(module.kernel[...] == 1))
        assert is_ones == (module.weights == "ternary"), path
        if not is_ones:  # and the seed gives the other kernels that it gave
            np.testing.assert_array_equal(module.kernel[...], others[path].kernel[...])
