"""∂L/∂m_t as the gradient of zeros that are added to the currents, against cells that add zeros of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn
from hdlif_jax.learning.stbp import run_steps, sequence_loss
from hdlif_jax.rollout import forward_step, hoist
from tests.conftest import cross_entropy, perturbed
from tests.nn.own import features, step_by_step

T, B = 3, 7
X = jax.random.normal(jax.random.key(0), (T, B, 5))
LABELS = jnp.arange(B) % 3
PATHS = ["layers.1", "layers.3"]


def add_zeros(cell):
    """Gives a cell parameters that are zero, `[T, B, 6]`, and a class that adds them to the current."""

    class WithZeros(type(cell)):
        def advance(self, state, x, tick):
            return super().advance(state, x + self.zeros[tick.t], tick)

    cell.__class__ = WithZeros
    cell.zeros = nn.PerStepParam(jnp.zeros((T, B, 6)))


def networks(factory):
    """The same network with the library's cells and with ones that add zeros, and variables of both."""
    rngs = nnx.Rngs(0)
    model = features(nn.Linear(5, 6, rngs=rngs), factory, nn.Linear(6, 6, rngs=rngs), factory, num_steps=T)
    model = nn.with_variables(model, perturbed(nn.variables_of(model), scale=0.1))
    plain, variables = nn.training_form(model), nn.variables_of(model)
    for index in (1, 3):
        add_zeros(model.layers[index])
    return plain, variables, nn.training_form(model), nn.variables_of(model)


def zeros():
    return {path: jnp.zeros((T, B, 6)) for path in PATHS}


def full_loss(network, variables, offsets=None):
    hoisted, stats = hoist(network, *variables, X)
    _, _, logits = run_steps(
        network,
        hoisted,
        nn.init_state(network, variables, B),
        stats,
        learning.Batch(X, LABELS),
        jnp.arange(T),
        offsets=offsets,
    )
    return sequence_loss(cross_entropy, logits, LABELS)


def layerwise_loss(network, variables, offsets=None):
    logits = network.sequence(network.quantize(variables.params), variables.batch_stats, X, None, offsets).logits
    return sequence_loss(cross_entropy, logits, LABELS)


@pytest.mark.parametrize("loss", [full_loss, layerwise_loss])
@pytest.mark.parametrize(
    "factory", [nn.lif(), nn.hd_lif(), nn.parallel(), nn.mem_bn()], ids=["lif", "hd-lif", "parallel", "mem-bn"]
)
def test_the_gradient_of_offsets_is_that_of_zeros_in_the_cell(factory, loss):
    """Through the whole sequence, in both orders."""
    plain, variables, own, own_variables = networks(factory)
    got = jax.jit(jax.grad(lambda offsets: loss(plain, variables, offsets)))(zeros())
    grads = jax.jit(jax.grad(lambda params: loss(own, own_variables._replace(params=params))))(own_variables.params)
    for path, index in zip(PATHS, (1, 3), strict=True):
        expected = grads["layers"][index]["zeros"]
        assert np.any(expected != 0)
        np.testing.assert_allclose(got[path], expected, rtol=1e-4, atol=1e-7)


def test_the_online_gradient_of_offsets_is_that_of_one_step():
    """`online.step_gradient` against the cell's own zeros at that step."""
    plain, variables, own, own_variables = networks(nn.hd_lif())
    state, stats = None, variables.batch_stats
    hoisted, _ = hoist(plain, *variables, X)
    state = forward_step(plain, hoisted, stats, None, X, 0).state
    at_step = {path: jnp.zeros((B, 6)) for path in PATHS}
    got = learning.online.step_gradient(
        plain, cross_entropy, hoisted, stats, state, learning.Batch(X, LABELS), jnp.int32(1), offsets=at_step
    )
    expected = learning.gradient_at_steps(
        own, cross_entropy, own_variables, learning.Batch(X, LABELS), jnp.array([1])
    ).grads
    for path, index in zip(PATHS, (1, 3), strict=True):
        np.testing.assert_allclose(got.offsets[path], expected["layers"][index]["zeros"][1], rtol=1e-4, atol=1e-7)


def test_without_offsets_there_is_no_gradient_of_them():
    plain, variables, _, _ = networks(nn.hd_lif())
    hoisted, stats = hoist(plain, *variables, X)
    state = nn.init_state(plain, variables, B)
    batch = learning.Batch(X, LABELS)
    got = learning.online.step_gradient(plain, cross_entropy, hoisted, stats, state, batch, jnp.int32(0))
    assert got.offsets == {}


def test_offsets_move_what_they_say():
    """And are the same in both orders, whatever their size."""
    plain, variables, _, _ = networks(nn.hd_lif())
    offsets = {"layers.3": jax.random.normal(jax.random.key(5), (T, B, 6))}
    got = plain.sequence(plain.quantize(variables.params), variables.batch_stats, X, None, offsets)
    expected = step_by_step(plain, variables, X, None, offsets)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-6)
    assert not np.allclose(got.logits, step_by_step(plain, variables, X).logits)


def test_an_offset_of_no_cell_is_refused_by_its_path():
    plain, variables, _, _ = networks(nn.hd_lif())
    wrong = {"layers.7": jnp.zeros((B, 6))}
    message = r"offsets name layers\.7, and the network's cells are layers\.1, layers\.3"
    with pytest.raises(ValueError, match=message):
        plain.step(*variables, None, jnp.zeros((B, 6)), nn.Tick(0), wrong)
    with pytest.raises(ValueError, match=message):
        plain.sequence(*variables, X, None, wrong)
