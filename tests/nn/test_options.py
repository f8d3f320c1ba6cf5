import pytest

from hdlif_jax.nn import SpikingOptions


@pytest.mark.parametrize(
    ("options", "second"),
    [
        ({}, "parallel"),
        ({"neuron": "mem-bn"}, "parallel"),
        ({"neuron": "lif"}, "lif"),
        ({"parallel": False}, "hd-lif"),
        ({"neuron": "lif", "parallel": False}, "lif"),
    ],
)
def test_second_neuron(options, second):
    assert SpikingOptions(**options).second_neuron == second


def test_unquantised_spikes():
    assert SpikingOptions(spike_bits=None).quantizer.softness is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"neuron": "lif", "parallel": True}, "'lif' has no parallel form"),
        ({"neuron": "if"}, "neuron='if' is unknown; choose one of lif, hd-lif, mem-bn"),
        ({"weights": "int8"}, "weights='int8' is unknown"),
        ({"attention": "se"}, "attention='se' is unknown"),
        ({"spike_bits": 0}, "bits=0"),
        ({"spike_scale": -1.0}, "scale=-1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        SpikingOptions(**options)
