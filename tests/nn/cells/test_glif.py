import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.neurons import glif as dynamics
from hdlif_jax.nn import Tick


def test_parameters_start_at_their_values_and_gates_halfway():
    cell = nn.glif(gates=(0.6, 0.8, 0.6), decay=0.3, threshold=0.4, leak=0.1, reset=0.7, conductance=0.9)(3, 2)
    expected = (0.55, 0.65, 0.55, 0.3, 0.4, 0.1, 0.7, 0.9)
    for t in range(3):
        np.testing.assert_allclose(cell.params_at(t), np.repeat(np.float32(expected)[:, None], 2, 1), rtol=1e-5)
    np.testing.assert_allclose(cell.decay_at(1), 1 - 0.55 * 0.7, rtol=1e-5)
    assert cell.raw_conductance.shape == (3, 2)
    assert isinstance(cell.raw_conductance, nn.PerStepParam)


def test_gates_start_by_channel_near_a_half_and_always_the_same():
    gates = nnx.to_pure_dict(nnx.state(nn.glif()(2, 500).gates))
    raw = np.stack([gates[name] for name in ("leak", "current", "reset")])
    assert np.abs(raw).max() <= 0.1
    assert raw.std() > 0.05
    again = nnx.to_pure_dict(nnx.state(nn.glif()(2, 500).gates))
    jax.tree.map(np.testing.assert_array_equal, gates, again)


def test_channels_are_the_last_axis_of_a_map():
    cell = nn.glif()(2, 3)
    current = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
    state, spikes = cell(None, current, Tick(0))
    state, spikes = cell(state, current, Tick(1))
    for channel in range(3):
        params = dynamics.GLIFParams(*(param[channel] for param in cell.params_at(1)))
        first, _ = cell(None, current, Tick(0))
        first = dynamics.GLIFState(*(part[..., channel] for part in first))
        expected, fires = dynamics.step(params, first, current[..., channel])
        np.testing.assert_allclose(state.membrane[..., channel], expected.membrane, atol=1e-6)
        np.testing.assert_array_equal(spikes[..., channel], fires)
    np.testing.assert_allclose(cell.membrane(cell.start(current), current, Tick(0)), cell(None, current, Tick(0))[0][0])


@pytest.mark.parametrize("rule", [learning.stbp(), learning.accumulate()], ids=repr)
def test_every_parameter_learns_and_gates_are_found_by_their_path(rule):
    """Online rules reach what leaks and resets, too: it is part of the step after."""
    layers = nn.Linear(4, 30, rngs=nnx.Rngs(0)), nn.glif(), nn.Linear(30, 2, rngs=nnx.Rngs(1))
    model = nn.Sequential(*layers, num_steps=3, input_shape=(4,))
    batch = learning.Batch(jax.random.normal(jax.random.key(0), (16, 4)) * 2, jnp.arange(16) % 2)
    network, loss = nn.training_form(model), losses.cross_entropy()
    grads = jax.jit(lambda variables: rule.gradient(network, loss, variables, batch).grads)(nn.variables_of(model))
    leaves = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in
              jax.tree_util.tree_leaves_with_path(grads["layers"][1])}  # fmt: skip
    assert sum(name.startswith("gates.") for name in leaves) == 3
    assert len(leaves) == 8
    for name, leaf in leaves.items():
        assert np.any(leaf != 0), name
