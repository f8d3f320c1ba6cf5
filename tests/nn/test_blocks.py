import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Form, HDLIFCell, MemBNHDLIFCell, ParallelHDLIFCell, ResidualBlock, Tick
from hdlif_jax.nn.forms import in_form
from tests.conftest import spec_of


def make_block(in_channels=4, out_channels=4, stride=1, **options):
    spec = spec_of(num_steps=2, **options)
    block = ResidualBlock(in_channels, out_channels, stride=stride, spec=spec, rngs=nnx.Rngs(0))
    return in_form(block, Form(train=True))


def current(channels=4):
    return jax.random.normal(jax.random.key(1), (3, 6, 6, channels))


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        ({"parallel": False}, HDLIFCell, HDLIFCell),  # (a)
        ({}, HDLIFCell, ParallelHDLIFCell),  # (b)
        ({"neuron": "mem-bn", "parallel": False, "attention": "seca-1"}, MemBNHDLIFCell, MemBNHDLIFCell),  # (c)
        ({"neuron": "mem-bn", "attention": "seca-2"}, MemBNHDLIFCell, ParallelHDLIFCell),  # (d)
    ],
)
def test_the_four_forms(options, first, second):
    """Each form against the formula of Fig. 3, written with the block's own layers."""
    block = make_block(**options)
    state, output = block(None, current(), Tick(1))
    assert type(block.neuron1) is first
    assert type(block.neuron2) is second

    attention = options.get("attention", "none")
    hidden = block.norm1(block.conv1(block.neuron1(None, current(), Tick(1))[1]))
    if attention == "seca-1":
        hidden = block.attention1(hidden)
    if attention == "seca-2":
        hidden = block.attention1(current() + hidden)
    hidden_current = hidden
    expected = block.norm2(block.conv2(block.neuron2(None, hidden, Tick(1))[1]))
    if attention == "seca-1":
        expected = block.attention2(expected)
    if attention == "seca-2":
        expected = block.attention2(hidden + expected)
    np.testing.assert_allclose(output, expected + current(), atol=1e-5)
    assert len(state) == 2  # in the order of the calls
    for left, neuron, x in zip(state, (block.neuron1, block.neuron2), (current(), hidden_current), strict=True):
        jax.tree.map(np.testing.assert_array_equal, left, neuron(None, x, Tick(1))[0])


def test_seca_2_is_seca_1_where_the_channels_differ():
    block = make_block(4, 6, stride=2, attention="seca-2")
    hidden = block.attention1(block.norm1(block.conv1(block.neuron1(None, current(), Tick(0))[1])))
    expected = block.attention2(hidden + block.norm2(block.conv2(block.neuron2(None, hidden, Tick(0))[1])))
    expected += block.downsample.norm(block.downsample.conv(current()))
    np.testing.assert_allclose(block(None, current(), Tick(0))[1], expected, atol=1e-5)


@pytest.mark.parametrize(("in_channels", "out_channels", "stride"), [(4, 4, 2), (4, 6, 1), (4, 6, 2)])
def test_the_shortcut_has_the_shape_of_the_output(in_channels, out_channels, stride):
    block = make_block(in_channels, out_channels, stride)
    _, output = block(None, current(), Tick(0))
    assert output.shape == (3, 6 // stride, 6 // stride, out_channels)


def test_without_spikes_only_the_shortcut_and_the_shifts_remain():
    block = make_block()
    block.norm2.bias[...] = jnp.full(4, 0.25)
    silent = jnp.full((3, 6, 6, 4), -5.0)
    np.testing.assert_allclose(block(None, silent, Tick(0))[1], silent + 0.25)


def test_norms_of_what_is_summed_dropout_and_biases():
    """Written out: both branches of the sum have their own norm, also where the shape is kept."""
    half = nn.batch_norm(gain=0.5)
    options = {"residual_norm": half, "identity_norm": True, "bias": True, "dropout": 0.5}
    spec = nn.Spec(num_steps=2, neuron=nn.lif(), weights="float", **options)
    block = ResidualBlock(4, 4, spec=spec, rngs=nnx.Rngs(0))
    block.conv1.bias[...] = jnp.float32([1, 2, 3, 4])
    block = in_form(block, Form(train=False))
    _, output = block(None, current(), Tick(1))
    hidden = block.norm1(block.conv1(block.neuron1(None, current(), Tick(1))[1]))
    branch = block.norm2(block.conv2(block.neuron2(None, hidden, Tick(1))[1]))
    np.testing.assert_allclose(output, branch + block.downsample(current()), atol=1e-6)
    assert [norm.options for norm in (block.norm1, block.norm2, block.downsample)] == [nn.batch_norm(), half, half]
    wider = ResidualBlock(4, 6, stride=2, spec=spec, rngs=nnx.Rngs(0)).downsample
    assert wider.norm.options == half
    assert wider.conv.bias.shape == (6,)
    dropped = in_form(block, Form(train=True))(None, current(), Tick(1, jax.random.key(0)))[1]
    assert float(jnp.abs(dropped - output).max()) > 0.1
