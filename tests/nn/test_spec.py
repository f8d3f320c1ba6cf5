import jax.numpy as jnp
import pytest
from flax import nnx

from hdlif_jax import nn
from tests.conftest import spec_of


@pytest.mark.parametrize(
    ("options", "second"),
    [
        ({}, nn.parallel()),
        ({"neuron": "mem-bn"}, nn.parallel()),
        ({"neuron": "lif"}, nn.lif()),
        ({"parallel": False}, nn.hd_lif()),
        ({"neuron": "lif", "parallel": False}, nn.lif()),
        ({"neuron": "parallel"}, nn.parallel()),
    ],
)
def test_second_neuron(options, second):
    assert spec_of(**options).second == second


def test_the_second_neuron_is_the_first_unless_it_is_another():
    assert nn.Spec(neuron=nn.lif()).second == nn.lif()
    assert nn.Spec(neuron=nn.lif(), second_neuron=nn.parallel()).second == nn.parallel()


def test_unquantised_spikes():
    cell = spec_of(spike_bits=None).neuron(4, 2)
    assert cell.quantize.softness is None


def test_neurons_of_different_kinds_mix_and_each_layer_reads_its_own():
    spec = nn.Spec(neuron=nn.lif(), second_neuron=nn.parallel(bits=2))
    block = nn.ResidualBlock(3, 3, spec=spec, rngs=nnx.Rngs(0))
    assert block.conv1.spikes == nn.BINARY
    assert block.conv2.spikes.bits == 2


def test_a_specification_is_a_value():
    assert nn.Spec() == nn.Spec(neuron=nn.hd_lif(bits=4, scale=0.25))
    assert hash(nn.Spec()) == hash(nn.Spec())
    assert nn.Spec() != nn.Spec(norm=nn.batch_norm(momentum=0.5))


def test_every_norm_of_a_network_comes_from_the_factory():
    made = []

    def norm(num_channels, rngs):
        made.append(num_channels)
        return nn.BatchNorm(num_channels)

    model = nn.conv_net((6, 6, 2), 3, widths=(4, 6), spec=nn.Spec(norm=norm), rngs=nnx.Rngs(0))
    assert made == [4, 4, 4, 6, 6, 6]  # the stem, two of each block, and the shortcut of the second
    model.encode(jnp.ones((1, 6, 6, 2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"weights": "int8"}, "weights='int8' is unknown"),
        ({"attention": "se"}, "attention='se' is unknown"),
        ({"spike_bits": 0}, "bits=0"),
        ({"spike_scale": -1.0}, r"scale=-1\.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        spec_of(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neuron": "if"}, "neuron='if' must be a function"),
        ({"neuron": None}, "neuron=None must be a function"),
        ({"second_neuron": "parallel"}, "second_neuron='parallel' must be a function"),
        ({"norm": "batch"}, "norm='batch' must be a function"),
        ({"neuron": nn.lif}, r"neuron=lif is not called yet; write lif\(\)"),
        ({"norm": nn.batch_norm}, r"norm=batch_norm is not called yet; write batch_norm\(\)"),
    ],
)
def test_what_makes_no_module_is_refused(options, message):
    with pytest.raises(TypeError, match=message):
        nn.Spec(**options)
